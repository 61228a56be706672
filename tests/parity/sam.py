"""SAM against the official code: the encoder block by block, each kind of prompt, the decoder's inside, the predictor.

The sizes are read off the tensors, as for any file of weights; what the manifest says of them must agree.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.amg import calculate_stability_score
from torch import Tensor, nn

from core.checkpoints import Weights
from core.device import choose
from core.segmentation.prompts import mask_box
from core.segmentation.sam import STABILITY_OFFSET, SegmentAnything
from core.segmentation.sam_model import SamSize, from_tensors, size_of
from tests.parity.compare import Case, Line, compare


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    weights, inputs, golden = case.part("weights"), case.part("in"), case.part("out")
    model = from_tensors(weights, int(case.config["dec_heads"]))
    with torch.no_grad():
        found = _encoder(model, inputs["image_resized"])
        for name in sorted({key.split(".")[1] for key in inputs if key.startswith("prompt.")}):
            found |= _prompt(model, found["image_embedding"], name, inputs, tuple(case.config["image_hw"]))
        found |= _predictor(model, inputs)
    nothing = {key: value for key, value in golden.items() if not value.numel()}
    empty = [_empty_line(f"{case.name}: {key}", value, found.get(key)) for key, value in nothing.items()]
    sizes = _sizes_line(case, size_of(weights, int(case.config["dec_heads"])))
    return [sizes, *empty, *compare(_Filled(**vars(case)), found)]


class _Filled(Case):
    """A case without the golden values that have no numbers: they have no largest one."""

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors that have numbers."""
        return {key: value for key, value in super().part(prefix).items() if value.numel()}


def _empty_line(name: str, want: Tensor, got: Tensor | None) -> Line:
    """Compare the shape of a tensor without numbers, such as the points of a prompt that is a mask alone."""
    same = got is not None and got.shape == want.shape
    return Line(name, 0.0 if same else float("inf"), same)


def _sizes_line(case: Case, size: SamSize) -> Line:
    """Compare what was read off the tensors with what the manifest says."""
    config = case.config
    wanted = {
        "image_size": config["img_size"],
        "patch_size": config["patch_size"],
        "width": config["embed_dim"],
        "depth": config["depth"],
        "heads": config["num_heads"],
        "window": config["window_size"],
        "global_blocks": tuple(config["global_attn_indexes"]),
        "mlp_width": int(config["image_encoder"]["mlp_ratio"] * config["embed_dim"]),
        "channels": config["out_chans"],
        "mask_channels": config["mask_in_chans"],
        "decoder_depth": config["dec_depth"],
        "decoder_mlp": config["dec_mlp"],
        "iou_depth": config["iou_depth"],
        "iou_width": config["iou_hidden"],
        "masks": config["num_multimask"],
    }
    wrong = [name for name, value in wanted.items() if getattr(size, name) != value]
    return Line(
        f"{case.name}: sizes read off the tensors{''.join(f', {name}' for name in wrong)}", len(wrong), not wrong
    )


@contextmanager
def _watched(modules: Mapping[str, nn.Module], found: dict[str, Tensor]) -> Iterator[None]:
    """Note what modules give, under their names."""
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: found.update({name: out}))
        for name, module in modules.items()
    ]
    yield
    for handle in handles:
        handle.remove()


def _encoder(model: Sam, resized: Tensor) -> dict[str, Tensor]:
    encoder = model.image_encoder
    modules = {f"encoder.block{index}": block for index, block in enumerate(encoder.blocks)}
    modules |= {"encoder.patch_embed": encoder.patch_embed, "encoder.neck": encoder.neck}
    found: dict[str, Tensor] = {"preprocessed": model.preprocess(resized)}
    with _watched(modules, found):
        found["image_embedding"] = encoder(found["preprocessed"][None])
    return found | {"dense_pe": model.prompt_encoder.get_dense_pe()}


def _prompt(
    model: Sam, embedding: Tensor, name: str, inputs: Mapping[str, Tensor], size_hw: tuple[int, int]
) -> dict[str, Tensor]:
    given = {
        key: inputs.get(f"prompt.{name}.{key}") for key in ("point_coords", "point_labels", "boxes", "mask_inputs")
    }
    points = None if given["point_coords"] is None else (given["point_coords"], given["point_labels"])
    sparse, dense = model.prompt_encoder(points=points, boxes=given["boxes"], masks=given["mask_inputs"])
    found = {"sparse": sparse, "dense": dense, "dense_mean_over_space": dense.mean((2, 3))}
    decoder = model.mask_decoder
    inside: dict[str, Tensor] = {}
    modules = {f"layer{index}": layer for index, layer in enumerate(decoder.transformer.layers)}
    with _watched(modules | {"out": decoder.transformer, "upscaled": decoder.output_upscaling}, inside):
        for kind, multiple in (("multimask", True), ("single", False)):
            masks, ious = decoder(
                image_embeddings=embedding,
                image_pe=model.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multiple,
            )
            found |= {f"{kind}.low_res_logits": masks, f"{kind}.iou_predictions": ious}
    found |= {"decoder.tokens_out": inside["out"][0], "decoder.image_out": inside["out"][1]}
    found["decoder.upscaled"] = inside["upscaled"]
    for index in range(len(decoder.transformer.layers)):
        queries, keys = inside[f"layer{index}"]
        found |= {f"decoder.layer{index}.queries": queries, f"decoder.layer{index}.keys": keys}
    found |= _full_size(model, found["multimask.low_res_logits"], inputs, size_hw)
    return {f"{name}.{key}": value for key, value in found.items()}


def _full_size(model: Sam, low: Tensor, inputs: Mapping[str, Tensor], size_hw: tuple[int, int]) -> dict[str, Tensor]:
    full = model.postprocess_masks(low, tuple(inputs["image_resized"].shape[1:]), size_hw)
    boxes = [mask_box(mask) if mask.any() else (0, 0, 1, 1) for mask in (full[0] > 0).numpy()]
    return {
        "multimask.logits_full_size": full,
        "stability_score": calculate_stability_score(full[0], 0.0, STABILITY_OFFSET / 2),
        "mask_boxes": torch.from_numpy(np.array(boxes)) - torch.tensor([0, 0, 1, 1]),  # theirs end inclusive
    }


def _predictor(model: Sam, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ask as a user does: a picture of its own size, clicks and a box in its pixels."""
    system = SegmentAnything(model, Weights(name="golden", system="sam"), choose("cpu"))
    predictor = system.predictor()
    predictor.set_image(inputs["image_uint8"].numpy())
    full, ious, low = predictor.predict(
        point_coords=inputs["predictor.point_coords"].numpy(),
        point_labels=inputs["predictor.point_labels"].numpy(),
        box=inputs["predictor.box"].numpy(),
        return_logits=True,
    )
    found = {"features": predictor.features, "logits_full_size": full, "iou_predictions": ious, "low_res_logits": low}
    return {f"predictor.{key}": torch.as_tensor(value) for key, value in found.items()}
