"""Our rasteriser against the supersampled reference and against diffvg's renders and gradients, on the same scenes.

`raster_comparisons(case)` takes the cases for which `is_raster(case)` holds. Nothing agrees to the last digit: the
reference counts samples, and diffvg jitters its own. The manifest's words say how near is near: a mean error on pixels
with ink, the share of pixels that may be farther off, a cosine and a relative error for gradients.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from core.sketch.rasterizer import draw_ink
from tests.parity.compare import Case, Line

MEAN_ON_INK, FAR_OFF, FAR_SHARE = 0.03, 0.15, 0.01  # bezier_reference_*: mean error; at most 1 % of pixels over 0.15
SAMPLES_MEAN_ON_INK = 0.1  # diffvg_render: 2 x 2 samples are themselves 0.03 to 0.065 off, each way
SAMPLES_INK = 0.02  # of a picture's ink, that those samples may have more or less
# The first that fits a name: least cosine and largest relative error of a gradient.
GRADIENTS = (
    (r"grad_l2_2x2_seed0", 0.95, 0.35),  # one noisy call
    (r"grad_l2", 0.97, 0.25),
    (r"grad_weighted_(2x2|16x16)", 0.5, 1.0),  # the manifest: diffvg's is biased, only its direction can be asked for
    (r"grad_weighted", 0.95, 0.3),  # between what one sample a pixel reaches, 0.9 and 0.5, and 4 x 4 samples, 0.98
)
LOSSES = ((r"_2x2_", 0.05), (r"", 0.01))  # 2 x 2 samples add their own noise to a squared error


Found = dict[str, tuple[float, bool]]


def is_raster(case: Case) -> bool:
    """Say whether a case is about strokes and pixels."""
    return any(name.endswith(".half_width") for name in case.tensors)


def raster_comparisons(case: Case) -> list[Line]:
    """Draw every scene of a case and compare."""
    inputs, golden = case.part("in"), case.part("out")
    by_scene: dict[str, dict[str, Tensor]] = {}
    for name, want in golden.items():
        scene, what = name.split(".", 1)
        by_scene.setdefault(scene, {})[what] = want
    lines = []
    for name, wanted in by_scene.items():
        own = {key.removeprefix(f"{name}."): value for key, value in inputs.items() if key.startswith(f"{name}.")}
        compare = _gradients if "target" in own else _pictures
        lines += [Line(f"{case.name}: {name}.{what}", *found) for what, found in compare(own, wanted).items()]
        if "count2x2" in wanted and (true := _reference(case, name)) is not None:
            ours = _on_ink(_paper(own["points"], own["half_width"], true), true)
            theirs = _on_ink(_as_paper("count2x2", wanted["count2x2"]), true)
            lines.append(Line(f"{case.name}: {name}, our error below the one of 2 x 2 samples", ours, ours < theirs))
    return lines


def _reference(case: Case, scene: str) -> Tensor | None:
    """Return the supersampled picture of a scene of diffvg's, where that lies in the same folder."""
    for name in case.config.get("from", ()):
        if (path := case.folder / f"{name}.safetensors").exists():
            tensors = replace(case, file=path.name).part("out")
            if (count := tensors.get(f"{scene}.count_union")) is not None:
                return _as_paper("count_union", count)
    return None


def _paper(points: Tensor, half_width: Tensor, like: Tensor) -> Tensor:
    """Return our picture, 1 paper and 0 ink."""
    return 1 - draw_ink(points[None], 2 * half_width[None], tuple(like.shape))[0]


def _pictures(inputs: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> Found:
    paper = _paper(inputs["points"], inputs["half_width"], next(iter(golden.values())))
    return {what: _picture(what, paper, _as_paper(what, want)) for what, want in golden.items()}


def _as_paper(what: str, want: Tensor) -> Tensor:
    """Return a golden picture as 1 paper and 0 ink, whatever its coding."""
    if what.startswith("image"):
        return want
    full = {"count_union": 256, "count2x2": 4}.get(what) or 2 ** int(what.rsplit("_u", 1)[1]) - 1
    return 1 - want.double().div(full).float()


def _picture(what: str, paper: Tensor, want: Tensor) -> tuple[float, bool]:
    """Return the mean error on pixels with ink and whether it is near enough."""
    error, mean = (paper - want).abs(), _on_ink(paper, want)
    if what == "count2x2":
        inks = float((1 - paper).sum()), float((1 - want).sum())
        return mean, mean <= SAMPLES_MEAN_ON_INK and abs(inks[0] - inks[1]) <= SAMPLES_INK * max(inks) + 1
    return mean, mean <= MEAN_ON_INK and float((error > FAR_OFF).float().mean()) <= FAR_SHARE


def _on_ink(paper: Tensor, want: Tensor) -> float:
    """Return the mean error on the pixels that have ink, or the largest of all if none has."""
    error = (paper - want).abs()
    return float(error[want < 1].mean()) if (want < 1).any() else float(error.max())


def _gradients(inputs: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> Found:
    points = inputs["points"].clone().requires_grad_()
    paper = _paper(points, inputs["half_width"], inputs["target"])
    losses = {"l2": (paper - inputs["target"]).square().mean(), "weighted": (inputs["weight_map"] * paper).mean()}
    grads = {name: torch.autograd.grad(loss, points, retain_graph=True)[0] for name, loss in losses.items()}
    found: Found = {}
    for what, want in golden.items():
        if what == "image":
            found[what] = _picture(what, paper.detach(), want)
        elif match := re.match(r"loss_(l2|weighted)", what):
            found[what] = _loss(what, float(losses[match[1]].detach()), float(want))
        elif match := re.match(r"(grad_(l2|weighted).*)_std$", what):
            found[what] = _within_noise(match[1], grads[match[2]], golden[f"{match[1]}_mean"], want)
        elif match := re.match(r"grad_(l2|weighted)", what):
            found[what] = _gradient(what, grads[match[1]], want)
    return found


def _loss(what: str, got: float, want: float) -> tuple[float, bool]:
    error = abs(got - want) / max(abs(want), 1e-12)
    return error, error <= next(limit for pattern, limit in LOSSES if re.search(pattern, what))


def _gradient(what: str, got: Tensor, want: Tensor) -> tuple[float, bool]:
    least, most = _limits(what)
    error = float((got - want).norm() / want.norm().clamp(min=1e-12))
    return error, error <= most and float(cosine_similarity(got.flatten(), want.flatten(), 0)) >= least


def _within_noise(what: str, got: Tensor, mean: Tensor, deviation: Tensor) -> tuple[float, bool]:
    """Compare each number with the spread of diffvg's calls around their mean, and its allowance for bias."""
    error = (got - mean).abs()
    allowed = 3 * deviation + _limits(what)[1] * mean.norm()
    return float((error / mean.norm().clamp(min=1e-12)).max()), bool((error <= allowed).all())


def _limits(what: str) -> tuple[float, float]:
    return next((least, most) for pattern, least, most in GRADIENTS if re.search(pattern, what))
