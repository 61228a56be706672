"""SAM's network, built from the segment-anything package's own classes to the size of any file of its weights.

Paper: Kirillov et al., Segment Anything, ICCV 2023, https://arxiv.org/abs/2304.02643, Sec. 3 and App. A. The package
builds three fixed sizes (segment_anything/build_sam.py); here the sizes are read off the tensors, so that its three
files, a fine-tuned one and the small one trained here open the same way. One number leaves no trace in the tensors, the
decoder's heads: one for 32 channels as the package has it (8 for 256), unless the caller says otherwise.

Legend: G side of the embedding's grid.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

# segment_anything/build_sam.py
DECODER_HEAD_WIDTH = 32  # channels a head: 8 heads for 256
ENCODER_EPS = 1e-6  # of the image encoder's layer norms; the decoder's keep PyTorch's
PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, kw_only=True)
class SamSize:
    """The numbers that fix a SAM; those that have a default are what the paper's three sizes share."""

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    window: int
    global_blocks: tuple[int, ...]
    mlp_width: int
    channels: int = 256  # of the embedding, the prompts and the decoder
    mask_channels: int = 16
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_depth: int = 3
    iou_width: int = 256
    masks: int = 3

    @property
    def grid(self) -> int:
        """Patches along a side of the picture."""
        return self.image_size // self.patch_size


def build_sam(size: SamSize) -> Sam:
    """Return an untrained float32 SAM, in evaluation mode."""
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=size.image_size,
            patch_size=size.patch_size,
            embed_dim=size.width,
            depth=size.depth,
            num_heads=size.heads,
            mlp_ratio=size.mlp_width / size.width,
            out_chans=size.channels,
            norm_layer=partial(nn.LayerNorm, eps=ENCODER_EPS),
            use_rel_pos=True,
            window_size=size.window,
            global_attn_indexes=size.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=size.channels,
            image_embedding_size=(size.grid, size.grid),
            input_image_size=(size.image_size, size.image_size),
            mask_in_chans=size.mask_channels,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=size.channels,
            transformer=TwoWayTransformer(
                depth=size.decoder_depth,
                embedding_dim=size.channels,
                num_heads=size.decoder_heads,
                mlp_dim=size.decoder_mlp,
            ),
            num_multimask_outputs=size.masks,
            iou_head_depth=size.iou_depth,
            iou_head_hidden_dim=size.iou_width,
        ),
        pixel_mean=list(PIXEL_MEAN),
        pixel_std=list(PIXEL_STD),
    ).eval()


def size_of(tensors: Mapping[str, Tensor], decoder_heads: int | None = None) -> SamSize:
    """Read a SAM's sizes off its tensors, or raise ValueError when they are not in the package's key layout."""
    try:
        return _size(tensors, decoder_heads)
    except KeyError as missing:
        raise ValueError(f"wanted a SAM in segment-anything's key layout, got a file without {missing}") from None


def _size(tensors: Mapping[str, Tensor], decoder_heads: int | None) -> SamSize:
    grid, width = tensors["image_encoder.pos_embed"].shape[2:]
    patch = tensors["image_encoder.patch_embed.proj.weight"].shape[-1]
    depth = _count(tensors, r"image_encoder\.blocks\.(\d+)\.")
    tables = [tensors[f"image_encoder.blocks.{index}.attn.rel_pos_h"] for index in range(depth)]
    sides = [(len(table) + 1) // 2 for table in tables]  # a table of relative positions has 2 x side - 1 rows
    decoder = "mask_decoder.transformer.layers"
    channels = len(tensors["image_encoder.neck.0.weight"])
    return SamSize(
        image_size=grid * patch,
        patch_size=patch,
        width=width,
        depth=depth,
        heads=width // tables[0].shape[1],
        window=min(sides) if min(sides) < grid else 0,
        global_blocks=tuple(index for index, side in enumerate(sides) if side == grid),
        mlp_width=len(tensors["image_encoder.blocks.0.mlp.lin1.weight"]),
        channels=channels,
        mask_channels=tensors["prompt_encoder.mask_downscaling.6.weight"].shape[1],
        decoder_depth=_count(tensors, r"mask_decoder\.transformer\.layers\.(\d+)\."),
        decoder_heads=decoder_heads or max(1, channels // DECODER_HEAD_WIDTH),
        decoder_mlp=len(tensors[f"{decoder}.0.mlp.lin1.weight"]),
        iou_depth=_count(tensors, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
        iou_width=len(tensors["mask_decoder.iou_prediction_head.layers.0.weight"]),
        masks=len(tensors["mask_decoder.mask_tokens.weight"]) - 1,
    )


def from_tensors(tensors: Mapping[str, Tensor], decoder_heads: int | None = None) -> Sam:
    """Return a float32 SAM in evaluation mode with these weights; ValueError where they do not fit."""
    size = size_of(tensors, decoder_heads)
    floats = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    try:
        with torch.device("meta"):
            model = build_sam(size)
        model.load_state_dict(floats, assign=True)
    except (RuntimeError, AssertionError) as error:
        first = str(error).split("\n\t")[1] if "\n\t" in str(error) else str(error)
        raise ValueError(f"The file is a SAM whose tensors do not fit together: {first}") from None
    model.pixel_mean, model.pixel_std = (torch.tensor(v).view(-1, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    return model.eval()


def _count(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """Return how many numbers the names that fit `pattern` go through."""
    return len({match[1] for name in tensors if (match := re.match(pattern, name))})
