"""CLIPasso against its official code: saliency, XDoG, where strokes begin, losses; the rasteriser has its own file."""

import random
import re
from collections.abc import Mapping

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor

from core.backbones.clip import OPENAI_MEAN, OPENAI_STD
from core.sketch.losses import STAGES, Features, resnet_features, sketch_losses, total
from core.sketch.saliency import (
    Xdog,
    attention_grid,
    class_attention,
    sample_starts,
    spanned,
    start_chances,
    stretched,
    walk,
    xdog,
)
from tests.parity.clipasso_raster import is_raster, raster_comparisons
from tests.parity.compare import Case, Line, compare

MOST_FLIPPED = 0.002  # the manifest's tolerance in words: share of binary pixels that may differ, and only where
NEAR_THRESHOLD = 0.01  # the soft value is this close to the threshold
SOFT_ATOL = 1e-3  # of soft XDoG, whose tanh has a slope of 200


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if is_raster(case):
        return raster_comparisons(case)
    if case.name.startswith("xdog"):
        return _xdog(case)
    if case.name.startswith("sampling"):
        return _sampling(case)
    inputs, found = case.part("in"), {}
    if "attn" in inputs:
        found = _saliency(inputs["attn"], case.part("out"))
    elif "image" in inputs:
        found = _vit(case, inputs["image"])
    elif "sketch" in inputs:
        found = _resnet(case, inputs)
    else:
        found = _given_maps(case, inputs)
    return compare(case, found)


def _normalised(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(each)[:, None, None] for each in (OPENAI_MEAN, OPENAI_STD))
    return (images - mean) / std


def _saliency(attention: Tensor, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the grid and its stretching over the size that the golden's name and shape have."""
    grid = attention_grid(attention)
    found = {name: grid for name in wanted if name.startswith("inter.grid")}
    for name, want in wanted.items():
        if name.startswith("saliency"):
            found[name] = torch.from_numpy(stretched(grid, tuple(want.shape)))
    return found


def _vit(case: Case, image: Tensor) -> dict[str, Tensor]:
    config = case.config
    visual = VisionTransformer(
        image.shape[0],
        config["patch"],
        config["width"],
        config["layers"],
        config["heads"],
        4.0,  # OpenAI's CLIP: the MLP is four times as wide
        output_dim=config["out"],
        act_layer=QuickGELU,
    ).eval()
    visual.load_state_dict(case.part("weights"))
    inputs = _normalised(image.permute(2, 0, 1)[None].float() / 255)
    attention = class_attention(visual, inputs)
    with torch.inference_mode():
        embedding = visual(inputs)
    found = _saliency(attention, case.part("out"))
    found |= {f"inter.attn_layer{index}": layer for index, layer in enumerate(attention)}
    return found | {
        "inter.image_embed": embedding,
        "inter.cls_row_mean_over_heads": attention.mean(1)[:, 0, 1:],
    }


def _xdog(case: Case) -> list[Line]:
    lines = []
    for name, image in case.part("in").items():
        found, want = xdog(image.numpy()), case.part("out")
        values = {"gray": found.gray, "gauss1": found.fine, "gauss2": found.coarse, "soft": found.soft}
        tensors = {f"{name}.inter.{key}": torch.from_numpy(value) for key, value in values.items()}
        tensors[f"{name}.inter.otsu_threshold"] = torch.tensor(found.threshold)
        for key in (key for key in want if key.startswith(f"{name}.")):
            if key == f"{name}.xdog":
                lines.append(_binary(f"{case.name}: {key}", want[key], found))
            else:
                lines.append(_close(f"{case.name}: {key}", want[key], tensors.get(key), key.endswith("soft"), case))
    return lines


def _close(name: str, want: Tensor, got: Tensor | None, soft: bool, case: Case) -> Line:
    if got is None or got.shape != want.shape:
        return Line(name, float("inf"), False)
    error = float((got - want).abs().max() / want.abs().max().clamp(min=1e-12))
    rtol, atol = float(case.tolerance["rtol"]), float(case.tolerance["atol"])
    return Line(name, error, torch.allclose(got, want, rtol=rtol, atol=max(atol, SOFT_ATOL) if soft else atol))


def _binary(name: str, want: Tensor, found: Xdog) -> Line:
    """Compare black and white: nearly all pixels, and the rest only where the soft value is at the threshold."""
    wrong = torch.from_numpy(~found.edges) != want.bool()
    near = torch.from_numpy(np.abs(found.soft - found.threshold) < NEAR_THRESHOLD)
    share = float(wrong.float().mean())
    return Line(name, share, share <= MOST_FLIPPED and not bool((wrong & ~near).any()))


def _sampling(case: Case) -> list[Line]:
    inputs = case.part("in")
    dog = xdog(inputs["image"].numpy())
    saliency = inputs["saliency"].numpy()
    found = {"inter.saliency_times_edges": torch.from_numpy(spanned(saliency) * dog.edges)}
    count, canvas = case.config["num_paths"], case.config["canvas"]
    chances = {}
    for key in case.part("out"):
        if match := re.match(r"tau([\d.]+)(_no_edges)?\.", key):
            chances[match[0]] = start_chances(saliency, None if match[2] else dog.edges, float(match[1]))
    for prefix, values in chances.items():
        found[f"{prefix}prob"] = torch.from_numpy(values)
        for seed in case.config["seeds"]:
            found |= _starts(f"{prefix}seed{seed}.", values, seed, count, canvas)
    lines = compare(case, found)
    binary = _binary(f"{case.name}: inter.xdog", case.part("out")["inter.xdog"], dog)
    return [binary if line.name.endswith("inter.xdog") else line for line in lines]


def _starts(prefix: str, chances: np.ndarray, seed: int, count: int, canvas: int) -> dict[str, Tensor]:
    """Draw as the release does: NumPy's old generator for the pixels, Python's for the walk."""
    pixels = sample_starts(chances, count, np.random.RandomState(seed))
    shares = (pixels / np.array(chances.shape))[:, ::-1]
    drawer = random.Random(seed)
    draws = np.array([drawer.random() for _ in range(count * 6)]).reshape(count, 3, 2)
    return {
        f"{prefix}inds_row_col": torch.from_numpy(pixels),
        f"{prefix}inds_normalised_xy": torch.from_numpy(shares.copy()),
        f"{prefix}init_points": torch.from_numpy(walk(shares, draws, canvas)),
    }


def _given_maps(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    sketch, target = ({k[1:]: v for k, v in inputs.items() if k[0] == side} for side in "xy")
    for value in sketch.values():
        value.requires_grad_()
    a, b = (_features(side) for side in (sketch, target))
    found: dict[str, Tensor] = {}
    for distance in {key.split(".")[0] for key in case.part("out")}:
        terms = _terms(case, a, b, distance)
        found |= _named(f"{distance}.", terms)
        gradients = torch.autograd.grad(total(terms).mean(), list(sketch.values()), allow_unused=True)
        found |= {f"{distance}.grad.x{key}": g for key, g in zip(sketch, gradients, strict=True) if g is not None}
        every = sketch_losses(a, b, layer_weights=(1.0,) * len(STAGES), semantic_weight=0, distance=distance)
        found[f"{distance}.all_layers_unweighted"] = torch.stack([term.mean() for term in every.values()])
    return found


def _features(side: Mapping[str, Tensor]) -> Features:
    return Features(maps=tuple(side[str(i)] for i in range(len(STAGES))), pooled=side["_fc"])


def _terms(case: Case, sketch: Features, target: Features, distance: str = "L2") -> dict[str, Tensor]:
    weights = tuple(float(weight) for weight in case.config["layer_weights"])
    return sketch_losses(
        sketch, target, layer_weights=weights, semantic_weight=case.config["fc_weight"], distance=distance
    )


def _named(prefix: str, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the means over the batch under the goldens' names."""
    names = {name: "fc" if name == "semantic" else f"clip_conv_loss_{name}" for name in terms}
    found = {f"{prefix}{names[name]}": term.mean() for name, term in terms.items()}
    return found | {f"{prefix}total": total(terms).mean()}


def _resnet(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    config = case.config
    visual = ModifiedResNet(config["layers"], config["out"], config["width"] * 32 // 64, config["res"], config["width"])
    weights = {k: v.float() if v.is_floating_point() else v for k, v in case.part("weights").items()}
    visual.load_state_dict(weights)
    visual.eval().requires_grad_(False)
    drawn = inputs["sketch"].clone().requires_grad_()
    sketch, target = (resnet_features(visual, _normalised(x)) for x in (drawn, inputs["target"]))
    found = {}
    for side, features in (("sketch", sketch), ("target", target)):
        found |= {f"inter.{side}.{name}": each for name, each in zip(STAGES, features.maps, strict=True)}
        found[f"inter.{side}.fc"] = features.pooled
    terms = _terms(case, sketch, target)
    found |= _named("eval.", terms)
    (found["eval.grad_sketch"],) = torch.autograd.grad(total(terms).sum(), drawn)
    with_views = [
        resnet_features(visual, torch.cat([_normalised(inputs[side]), inputs[f"train_aug_{side}"]]))
        for side in ("sketch", "target")
    ]
    return found | _named("train.", _terms(case, *with_views))
