"""PointCLIP against the official code: both projections step by step, scores, the weight search, the adapter.

Sparse images are compared densely: every pixel that the goldens do not list must be 0 here too. A grid of points along
the axes is compared by its coordinates alone, because rounding decides on which side of a pixel's border it falls.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from core.point_cloud.adapter import (
    InterViewAdapter,
    adapted_logits,
    adapter_from_tensors,
    count_right,
    search_view_weights,
    smooth_loss,
    weight_combinations,
)
from core.point_cloud.projection import (
    RELEASED_FEW_SHOT,
    RELEASED_ZERO_SHOT,
    V2,
    ViewSettings,
    densify,
    depth_grid,
    fit_to_box,
    gaussian_kernel,
    harmonic_depth,
    invert,
    pixel_coordinates,
    project,
    smooth,
    view_points,
    view_shift,
    view_turns,
)
from core.results import ViewScores
from tests.parity.compare import Case, Line, compare

FEW_SHOT_SIZE = 224  # the release draws few-shot pictures at this size and does not resize them
V2_SCALE = 100.0  # the V2 release takes this for the logit scale
NEAR_PLANE, NEAR_RTOL = 0.05, 1e-3  # nearer points fall far outside the picture, and need agree only so far
V2_SHARE = 0.995  # of V2's pixels that must agree: its extreme points sit on the border of a slice
# The first that fits a name, (rtol, atol): the manifest's comment is stricter than its two numbers.
STRICTER = (
    (r"views\.|gauss_kernel", (1e-5, 1e-6)),
    (r"inter\.\w+\.[xyz]$", (1e-5, 1e-4)),
    (r"resized\d+\.(value|flat_index)|resized\d+_view", (0.0, 1e-4)),
    (r"^image_sum_per_view|^resized\d+\.sum_per_view", (1e-3, 0.0)),  # V2's, whose pixels agree but for a few
    (r"sum_per_view", (1e-4, 0.0)),
    (r"flat_index|nonzero_per_view", (0.0, 0.0)),
    (r"depth\.value|view_points", (1e-5, 1e-6)),
    (r"logits", (0.0, 2e-3)),
    (r"best_accuracy", (0.0, 5e-3)),  # printed with two decimals
    (r"", (1e-5, 1e-4)),
)


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    inputs, golden = case.part("in"), case.part("out")
    if "inter.grid.value" in golden:
        return _v2_lines(case, inputs, golden)
    if "points" in inputs:
        return _lines(case, _projection(case, inputs["points"], golden))
    by_kind = _adapter if case.part("weights") else _v2_logits if "view_weights" in inputs else _zero_shot
    return _lines(case, by_kind(case, inputs))


def _lines(case: Case, found: Mapping[str, Tensor]) -> list[Line]:
    lines = dict.fromkeys(case.part("out"))
    for rtol, atol in {limits for _, limits in STRICTER}:
        for line in compare(replace(case, tolerance={"rtol": rtol, "atol": atol}), found):
            name = line.name.removeprefix(f"{case.name}: ")
            if (rtol, atol) == next(limits for pattern, limits in STRICTER if re.search(pattern, name)):
                lines[name] = line
    if case.config.get("special") == "axis_aligned":
        return [line for name, line in lines.items() if not name.endswith("per_view")]
    return list(lines.values())


def _projection(case: Case, points: Tensor, golden: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for short, settings, size in (("zs6", RELEASED_ZERO_SHOT, 128), ("fs10", RELEASED_FEW_SHOT, FEW_SHOT_SIZE)):
        resolution = settings.resolution or size
        turned = view_points(points, settings)
        z = turned[0, ..., 2]
        found[f"inter.{short}.z"] = z
        for name, pixels in zip("xy", pixel_coordinates(turned, resolution)[0].unbind(-1), strict=True):
            want = golden[f"inter.{short}.{name}"]
            near = (z.abs() < NEAR_PLANE) & torch.isclose(pixels, want, rtol=NEAR_RTOL, atol=0)
            found[f"inter.{short}.{name}"] = torch.where(near, want, pixels)
        found |= _views(f"views.{short}", settings)
        found |= _picture(f"{short}.depth", harmonic_depth(turned, resolution)[0], golden, leak=0.0)
        for side in _sizes(short, golden):
            found |= _picture(f"{short}.resized{side}", project(points, settings, side)[0], golden, leak=1e-4)
    return found


def _views(prefix: str, settings: ViewSettings) -> dict[str, Tensor]:
    """Return the turns and the shift as the release has them: it subtracts."""
    first, second = view_turns(settings.variant, settings.views)
    shift = -view_shift(settings).expand(settings.views, 1, 3)
    found = {f"{prefix}.rot_mat": first, f"{prefix}.translation": shift}
    return found if second is None else found | {f"{prefix}.rot_mat2": second}


def _sizes(short: str, golden: Mapping[str, Tensor]) -> set[int]:
    """Return the sizes of input for which the goldens have pictures."""
    matches = (re.match(rf"{short}\.?resized(\d+)", name) for name in golden)
    return {int(match[1]) for match in matches if match}


def _picture(prefix: str, picture: Tensor, golden: Mapping[str, Tensor], *, leak: float) -> dict[str, Tensor]:
    found = {
        f"{prefix}.sum_per_view": picture.sum((-2, -1)),
        f"{prefix}.nonzero_per_view": (picture != 0).sum((-2, -1)),
    }
    if (index := golden.get(f"{prefix}.flat_index")) is not None:
        found |= _sparse(prefix, picture, index, leak)
    return found


def _sparse(prefix: str, dense: Tensor, index: Tensor, leak: float) -> dict[str, Tensor]:
    """Return our values where the goldens have some; our own places instead of theirs where there are others."""
    flat = dense.flatten()
    elsewhere = flat.index_fill(0, index.long(), 0.0)
    places = index if elsewhere.abs().max() <= leak else flat.nonzero()[:, 0]
    return {f"{prefix}.flat_index": places, f"{prefix}.value": flat[index.long()]}


def _v2_lines(case: Case, inputs: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> list[Line]:
    turned = view_points(inputs["points"], V2)
    grid = depth_grid(fit_to_box(turned), V2.resolution)
    dense, depth = densify(grid), smooth(densify(grid))
    image = invert(depth)[0]
    keep = case.config["keep_view"]
    found = _views("views", V2) | {"inter.view_points": turned[0], "image_sum_per_view": image.sum((-2, -1))}
    found["gauss_kernel"] = gaussian_kernel()[None, None, None]
    almost = {
        "inter.maxpool_max_view": dense[0, keep].amax(0),
        "inter.conv_max_view": depth[0, keep],
        "image": image[case.config["image_views"]],
    }
    for side in _sizes("", golden):
        resized = project(inputs["points"], V2, side)[0]
        found[f"resized{side}.sum_per_view"] = resized.sum((-2, -1))
        almost[f"resized{side}_view"] = resized[keep]
    apart = tuple(f"{case.name}: {name}" for name in (*almost, "inter.grid.flat_index", "inter.grid.value"))
    exact = [line for line in _lines(case, found) if line.name not in apart]
    mostly = [_mostly(f"{case.name}: {name}", golden[name], got) for name, got in almost.items() if name in golden]
    return exact + mostly + _grid_lines(case.name, grid[0], golden)


def _grid_lines(name: str, grid: Tensor, golden: Mapping[str, Tensor]) -> list[Line]:
    """Compare a grid: every column exactly; every cell, but for those at the two ends of the depth."""
    want = torch.zeros(grid.numel())
    want[golden["inter.grid.flat_index"].long()] = golden["inter.grid.value"]
    want = want.view_as(grid)
    columns = float((grid.amax(1) - want.amax(1)).abs().max())
    ends = [torch.isclose(values, values.new_tensor(end), atol=1e-4) for values in (grid, want) for end in (1.0, 6.0)]
    inner = ~torch.stack(ends).any(0)
    cells = float((grid - want)[inner].abs().max())
    return [
        Line(f"{name}: inter.grid, {part}", error, error <= 1e-4)
        for part, error in (("columns", columns), ("inner cells", cells))
    ]


def _mostly(name: str, want: Tensor, got: Tensor) -> Line:
    """Compare where rounding may move a few pixels."""
    differs = (got - want).abs()
    share = float((differs <= 1e-4).float().mean())
    return Line(name, float(differs.max() / want.abs().max()), share >= V2_SHARE)


def _scores(case: Case, inputs: Mapping[str, Tensor], scale: float) -> tuple[Tensor, list[ViewScores]]:
    """Return the unit features, (B, V, C), and the scores of each cloud."""
    views = int(case.config["views"])
    features = normalize(inputs["view_features"].unflatten(0, (-1, views)), dim=-1)
    cosines = (features @ normalize(inputs["text"], dim=-1).T).numpy()
    labels = tuple(map(str, range(cosines.shape[2])))
    return features, [ViewScores(labels=labels, cosines=each, logit_scale=scale) for each in cosines]


def _logits(scores: list[ViewScores], weights: Tensor | np.ndarray | None = None) -> Tensor:
    weights = None if weights is None else np.asarray(weights)
    return torch.from_numpy(np.stack([each.ranking(weights).logits() for each in scores]))


def _v2_logits(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    features, scores = _scores(case, inputs, V2_SCALE)
    return {"logits": _logits(scores, inputs["view_weights"]), "inter.image_feat_unweighted": features.flatten(1)}


def _zero_shot(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    features, scores = _scores(case, inputs, float(inputs["logit_scale"].exp()))
    cosines, labels = np.stack([each.cosines for each in scores]), inputs["labels"].numpy()
    views, steps = cosines.shape[1], int(case.config["search_time"])
    values = [case.config["search_range"] * (i + 1) / steps for i in range(steps)]
    combinations = weight_combinations(views, values)
    right = torch.from_numpy(count_right(cosines, labels, combinations)).float()
    weights, accuracy = search_view_weights(cosines, labels, grid=values)
    logits = _logits(scores)
    return {
        "zeroshot.logits": logits,
        "inter.image_feat": features.flatten(1),
        "inter.text_feat": normalize(normalize(inputs["text"], dim=-1).repeat(1, views), dim=-1),
        "search.accuracy_before": 100 * (logits.argmax(1) == inputs["labels"]).float().mean(),
        "search.accuracy_grid": (100 * right / len(labels)).view((steps,) * views),
        "search.best_weights": torch.from_numpy(weights),
        "search.best_accuracy": torch.tensor(100 * accuracy),
        "search.logits_at_best": _logits(scores, weights),
        "search.logits_first": _logits(scores, combinations[0]),
    }


def _adapter(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ratio, scale = float(case.config["ratio"]), inputs["logit_scale"].exp()
    adapter = adapter_from_tensors(case.part("weights"), ratio=ratio)
    features = inputs["view_features"].unflatten(0, (-1, adapter.views))
    found: dict[str, Tensor] = {}
    watched = {"bn_views": 0, "linear": 3, "bn_global": 4, "global_feat": 5}
    modules = [(name, adapter.global_f[place]) for name, place in watched.items()]
    for name, module in [*modules, ("view_feat", adapter.view_f)]:
        module.register_forward_hook(lambda _, __, out, name=name: found.update({f"inter.{name}": out}))
    with torch.no_grad():
        adapted = adapter(features)
    found["adapted"] = adapted.flatten(1)
    found["logits"] = adapted_logits(adapted, inputs["text"], scale)
    found["smooth_loss"] = smooth_loss(found["logits"], inputs["labels"])
    return found | _trained(case, inputs, features, ratio)


def _trained(case: Case, inputs: Mapping[str, Tensor], features: Tensor, ratio: float) -> dict[str, Tensor]:
    """Run one pass in training mode without dropout, and look at gradients and statistics."""
    adapter = InterViewAdapter(*features.shape[1:], ratio=ratio, dropout=0.0)
    adapter.load_state_dict(case.part("weights"))
    logits = adapted_logits(adapter.train()(features), inputs["text"], inputs["logit_scale"].exp())
    loss = smooth_loss(logits, inputs["labels"])
    loss.backward()
    found = {"train.logits": logits, "train.smooth_loss": loss}
    found |= {f"train.grad.{name}": value.grad for name, value in adapter.named_parameters()}
    return found | {f"train.after.{name}": value for name, value in adapter.named_buffers()}
