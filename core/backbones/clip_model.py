"""CLIP's two towers, built from open_clip's own classes to the size of any file in OpenAI's key layout.

Paper: Radford et al. 2021, Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
https://arxiv.org/abs/2103.00020. Key layout and the rules that turn shapes into sizes: openai/CLIP, clip/model.py.
Different from it: what cannot reach the answer is not computed (texts after the last end-of-text token, and all but the
class token in a ViT's last block), which changes nothing but the time; and the token table may hold only the rows that
training saw, every other token sharing one 'unknown' row.

Legend: B pictures, P tokens of a picture, S side of the input, M texts, L token positions, D embedding size,
W text width, V rows of the token table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

HEAD_WIDTH = 64  # openai/CLIP clip/model.py: heads = width // 64 in every tower
RESNET_STRIDE = 32  # stem 4 x three strided stages 8
BPE_TOKENS = 49408  # openai/CLIP clip/simple_tokenizer.py: 256 bytes, twice, 48894 merges, start and end


@dataclass(frozen=True, kw_only=True)
class ClipSize:
    """The numbers that fix a CLIP; `layers` has four entries for a ResNet and is one number for a ViT."""

    embed_dim: int
    image_size: int
    vision_layers: tuple[int, int, int, int] | int
    vision_width: int
    patch_size: int | None
    context_length: int = 77
    vocab_size: int = BPE_TOKENS
    text_width: int = 512
    text_layers: int = 12


class CompactEmbedding(nn.Module):
    """A token table with a row for each token that training saw and one row for all the others."""

    def __init__(self, token_ids: Int[Tensor, "known"], width: int) -> None:
        """Keep the rows `token_ids`; the last row of the table is the unknown one."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(len(token_ids) + 1, width) * 0.02)
        self.register_buffer("token_ids", token_ids.to(torch.int32))
        rows = torch.full((BPE_TOKENS,), len(token_ids), dtype=torch.long)
        rows[token_ids.long()] = torch.arange(len(token_ids))
        self.register_buffer("rows", rows, persistent=False)

    @property
    def unknown_row(self) -> int:
        """The row that every token unseen in training shares."""
        return len(self.token_ids)

    def forward(self, tokens: Int[Tensor, "M L"]) -> Float[Tensor, "M L W"]:
        """Look the tokens' rows up."""
        return nn.functional.embedding(self.rows[tokens], self.weight)


def build(size: ClipSize, token_ids: Int[Tensor, " known"] | None = None, *, quick_gelu: bool = True) -> CLIP:
    """Return an untrained float32 CLIP with QuickGELU, as OpenAI's are; `token_ids` gives it a compact token table."""
    model = CLIP(
        size.embed_dim,
        vision_cfg=CLIPVisionCfg(
            layers=size.vision_layers,
            width=size.vision_width,
            head_width=HEAD_WIDTH,
            patch_size=size.patch_size,
            image_size=size.image_size,
        ),
        text_cfg=CLIPTextCfg(
            context_length=size.context_length,
            vocab_size=size.vocab_size,
            width=size.text_width,
            heads=max(1, size.text_width // HEAD_WIDTH),
            layers=size.text_layers,
        ),
        quick_gelu=quick_gelu,
    )
    if token_ids is not None:
        model.token_embedding = CompactEmbedding(token_ids, size.text_width)
    return model


def size_of(tensors: Mapping[str, Tensor]) -> ClipSize:
    """Read a CLIP's sizes off its tensors, or raise ValueError when they are not in OpenAI's key layout."""
    try:
        return _vit_size(tensors) if "visual.proj" in tensors else _resnet_size(tensors)
    except KeyError as missing:
        raise ValueError(f"wanted a CLIP in OpenAI's key layout, got a file without {missing}") from None


def from_tensors(tensors: Mapping[str, Tensor], *, quick_gelu: bool = True) -> CLIP:
    """Return a float32 CLIP in evaluation mode with these weights; ValueError where they do not fit.

    OpenAI trained with QuickGELU, most who came later did not, and the tensors do not tell: the caller must.
    """
    wanted = {k: v for k, v in tensors.items() if k not in ("input_resolution", "context_length", "vocab_size")}
    model = build(size_of(wanted), wanted.get("token_embedding.token_ids"), quick_gelu=quick_gelu)
    return load_tensors(model, wanted)


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Put float32 tensors into a model, which is returned in evaluation mode; ValueError where they do not fit."""
    floats = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    try:
        model.load_state_dict(floats)
    except RuntimeError as error:
        first = str(error).split("\n\t")[1] if "\n\t" in str(error) else str(error)
        raise ValueError(f"These tensors do not fit the model: {first.strip()}") from None
    return model.eval()


def encode_image(model: nn.Module, inputs: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
    """Encode pictures, not normalised; a ViT's last block runs for the class token alone where nothing else is read.

    That is exact: the other tokens of that block would be thrown away (openai/CLIP clip/model.py: ln_post(x[:, 0])).
    """
    visual = model.visual
    if not is_plain_vit(visual):
        return model.encode_image(inputs)
    x = visual._embeds(inputs)  # (B, P, width)
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    keys = last.ln_1(x)
    first = x[:, :1] + last.ls_1(last.attention(keys[:, :1], keys, keys))  # (B, 1, width)
    first = first + last.ls_2(last.mlp(last.ln_2(first)))
    return visual._pool(first)[0] @ visual.proj


def is_plain_vit(visual: nn.Module) -> bool:
    """Say whether an image tower is a ViT of CLIP's own kind, whose answer is its class token's."""
    return (
        isinstance(visual, VisionTransformer)
        and visual.pool_type == "tok"
        and visual.attn_pool is None
        and visual.proj is not None
        and visual.transformer.batch_first
        and type(visual.transformer.resblocks[-1]) is ResidualAttentionBlock
    )


def is_causal(model: nn.Module) -> bool:
    """Say whether a text feature depends on nothing after its end-of-text token."""
    tower = getattr(model, "text", model)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", None))
    return (
        getattr(tower, "attn_mask", None) is not None and pool == "argmax" and getattr(tower, "cls_emb", None) is None
    )


def encode_text(model: nn.Module, tokens: Int[Tensor, "M L"]) -> Float[Tensor, "M D"]:
    """Encode texts, not normalised, running only the positions up to the last end-of-text token where that is exact.

    The end-of-text token has the highest id, so `argmax` finds it. Positions after it cannot influence it under the
    causal mask (Sec. 2.4 of the paper), so leaving them out changes nothing but the time. Text towers without that
    mask (SigLIP, MobileCLIP-S0) run in full.
    """
    if not is_causal(model):
        return model.encode_text(tokens)
    tower = getattr(model, "text", model)
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]  # (M, L, W)
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    x = tower.ln_final(x)[torch.arange(len(x), device=x.device), ends]  # (M, W)
    if isinstance(tower.text_projection, nn.Linear):
        return tower.text_projection(x)
    return x @ tower.text_projection


def _text_size(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    return {
        "embed_dim": tensors["text_projection"].shape[1],
        "context_length": tensors["positional_embedding"].shape[0],
        "vocab_size": tensors["token_embedding.weight"].shape[0],
        "text_width": tensors["ln_final.weight"].shape[0],
        "text_layers": _count(tensors, "transformer.resblocks."),
    }


def _vit_size(tensors: Mapping[str, Tensor]) -> ClipSize:
    width, _, patch, _ = tensors["visual.conv1.weight"].shape
    grid = round((tensors["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    return ClipSize(
        image_size=patch * grid,
        vision_layers=_count(tensors, "visual.transformer.resblocks."),
        vision_width=width,
        patch_size=patch,
        **_text_size(tensors),
    )


def _resnet_size(tensors: Mapping[str, Tensor]) -> ClipSize:
    grid = round((tensors["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    first, second, third, fourth = (_count(tensors, f"visual.layer{stage}.") for stage in (1, 2, 3, 4))
    return ClipSize(
        image_size=grid * RESNET_STRIDE,
        vision_layers=(first, second, third, fourth),
        vision_width=tensors["visual.layer1.0.conv1.weight"].shape[0],
        patch_size=None,
        **_text_size(tensors),
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Count the numbered children of a module list."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})


def unseen_words(
    table: nn.Module | None, tokenize: Callable[[list[str]], Tensor], texts: Sequence[str]
) -> tuple[str, ...]:
    """Return the single words of texts that a compact table of tokens never saw; none for any other table."""
    words = list(dict.fromkeys(word for text in texts for word in text.split()))
    if not isinstance(table, CompactEmbedding) or not words:
        return ()
    tokens = tokenize(words)
    inside = (tokens != 0) & (torch.arange(tokens.shape[1]) < tokens.argmax(1, keepdim=True))
    unknown = (table.rows.cpu()[tokens] == table.unknown_row) & inside
    return tuple(word for word, is_new in zip(words, unknown.any(1).tolist(), strict=True) if is_new)
