"""CLIP4Clip against the official code: every head step by step, losses, gradients, both patches, figures, frames.

Where the manifest says that a figure records a quirk (ties counted as ranks of their own, seconds of a whole number of
frames), it is the quirk that is computed here.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.media_video import head_indices, reorder, second_indices, tail_indices, uniform_indices
from core.metrics.retrieval import best_caption, caption_ranks, official_ranks
from core.video_retrieval.heads import Block, VideoHeads, heads_from_tensors, masked_mean, pair_up, symmetric_loss
from core.video_retrieval.patches import inflated, see_along_time
from tests.parity.compare import Case, Line, compare

SLICES = (head_indices, tail_indices, uniform_indices)  # slice_framepos 0, 1, 2
ORDERS = ("forwards", "reversed", "shuffled")  # frame_order 0, 1, 2
PERCENT = 100.0
GRADIENT_LIMITS = (1e-3, 1e-5)  # the second as a share of the largest: small inputs have gradients of 20
# The first that fits a name, (rtol, atol): the manifest's comment is stricter than its two numbers.
STRICTER = (
    (r"ranks", (0.0, 0.0)),
    (r"^sim$|summary|v2t_matrix", (1e-4, 1e-3)),
    (r"", (1e-5, 1e-4)),
)


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        return _sampling(case)
    inputs = case.part("in")
    by_kind = _patches if "pixels" in inputs else _scores if "frames" in inputs else _figures
    found, golden = by_kind(case, inputs), case.part("out")
    limits = {name: _limits(name, want) for name, want in golden.items()}
    lines = dict.fromkeys(golden)
    for rtol, atol in set(limits.values()):
        for line in compare(replace(case, tolerance={"rtol": rtol, "atol": atol}), found):
            name = line.name.removeprefix(f"{case.name}: ")
            if limits[name] == (rtol, atol):
                lines[name] = line
    return list(lines.values())


def _limits(name: str, want: Tensor) -> tuple[float, float]:
    if name.startswith("grad_"):
        return GRADIENT_LIMITS[0], GRADIENT_LIMITS[1] * float(want.abs().max())
    return next(limits for pattern, limits in STRICTER if re.search(pattern, name))


def _scores(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Score texts against clips with one head, and look at every step on the way."""
    head, weights = case.config["sim_header"], case.part("weights")
    texts = inputs["text"][:, 0].requires_grad_(True)
    frames, mask = inputs["frames"].requires_grad_(True), inputs["video_mask"]
    model = heads_from_tensors(weights, width=frames.shape[-1], heads=case.config["heads"])
    scale = weights["clip.logit_scale"].exp()
    count = len(frames)
    scores = model.scores(head, texts, frames, mask, scale)
    positive = scores[:count]
    right = torch.arange(count)
    loss = symmetric_loss(positive)
    gradients = torch.autograd.grad(loss, (texts, frames))
    with torch.no_grad():
        steps = _tight_steps(model, texts, frames, mask) if head == "tightTransf" else _loose(model, head, frames, mask)
    return steps | {
        "sim": scores,
        "loss_t2v": nn.functional.cross_entropy(positive, right),
        "loss_v2t": nn.functional.cross_entropy(positive.T, right),
        "loss": loss,
        "loss_released_train_forward": loss,
        "grad_text": gradients[0][:, None],
        "grad_frames": gradients[1],
    }


def _loose(model: VideoHeads, head: str, frames: Tensor, mask: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    if head == "seqTransf":
        blocks = model.transformerClip.resblocks
        blocks[0].register_forward_hook(lambda _, given, __: found.update({"inter.transf_in": given[0]}))
        for place, block in enumerate(blocks):
            _watch(block, f"inter.block{place}", found)
    if head == "seqLSTM":
        longest = int(mask.sum(1).max())
        found["inter.lstm_out"] = model._recur(frames, mask)[:, :longest]
    unit = normalize(model.temporal(head, model.scaled(frames), mask), dim=-1)
    return found | {"inter.frames_unit": unit, "inter.video_mean": masked_mean(unit, mask)}


def _tight_steps(model: VideoHeads, texts: Tensor, frames: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Run every pair, and the last one for its sequence."""
    steps: dict[str, Tensor] = {}
    for place, block in enumerate(model.cross.transformer.resblocks):
        _watch(block, f"inter.block{place}_token0", steps)
    _watch(model.cross.pooler, "inter.pooled", steps)
    model.tight_scores(texts, frames, mask)
    pairs = (len(texts), len(frames), -1)
    firsts = {name: (value if value.ndim == 2 else value[:, 0]).view(pairs) for name, value in steps.items()}
    return firsts | {"inter.embed_pair_last": pair_up(*model.cross.embed(texts[-1:], frames[-1:]))[0]}


def _watch(module: Block | nn.Module, name: str, found: dict[str, Tensor]) -> None:
    def keep(_: nn.Module, __: Any, out: Tensor) -> None:
        found[name] = torch.cat([found[name], out]) if name in found else out  # pairs may come in several batches

    module.register_forward_hook(keep)


def _patches(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run a ViT with its own patches, with those that start from them, and with others."""
    weights, pixels, frames = case.part("weights"), inputs["pixels"], case.config["vp"]["frames"]
    kernels = {"p2d": None, "p3d_init": inflated(weights["conv1.weight"]), "p3d_random": weights["conv2.weight"]}
    found: dict[str, Tensor] = {}
    for name, kernel in kernels.items():
        visual = _vit(case.config["vp"], weights)
        if kernel is not None:
            see_along_time(visual, frames, kernel)
        with torch.no_grad():
            hidden = visual.transformer(visual._embeds(pixels))
            found |= {f"{name}.hidden": hidden, f"{name}.image_embed": visual(pixels)}
            if kernel is not None:
                found[f"{name}.conv2_map"] = visual.conv1.tubes(pixels)
    return found


def _vit(size: Mapping[str, Any], weights: Mapping[str, Tensor]) -> VisionTransformer:
    visual = VisionTransformer(
        image_size=size["res"],
        patch_size=size["patch"],
        width=size["width"],
        layers=size["layers"],
        heads=size["heads"],
        mlp_ratio=4.0,
        output_dim=size["out"],
        act_layer=QuickGELU,
    )
    visual.load_state_dict({key: value for key, value in weights.items() if key != "conv2.weight"})
    return visual.eval()


def _figures(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ranks and figures as released: ties count as ranks of their own."""
    found: dict[str, Tensor] = {}
    for name in ("sim", "sim_ties"):
        scores = inputs[name].numpy()
        found |= _direction(f"{name}.t2v", scores) | _direction(f"{name}.v2t", scores.T)
    several = inputs["sim_multi"].numpy()
    texts = caption_ranks(several)
    by_clip = best_caption(several)
    found["sim_multi.v2t_matrix"] = torch.from_numpy(by_clip)
    found |= _direction("sim_multi.v2t", by_clip)
    lower_median = float(torch.from_numpy(texts).median())  # torch's, where numpy's would be between two
    return found | {"sim_multi.t2v.summary": torch.tensor([*_recalls(texts), lower_median, texts.mean()]).float()}


def _direction(prefix: str, scores: np.ndarray) -> dict[str, Tensor]:
    places = official_ranks(scores)
    figures = [*_recalls(places + 1), float(np.median(places)) + 1, float(places.mean()) + 1]
    return {f"{prefix}.ranks0": torch.from_numpy(places), f"{prefix}.summary": torch.tensor(figures)}


def _recalls(places: np.ndarray) -> list[float]:
    return [PERCENT * float((places <= most).mean()) for most in (1, 5, 10)]


def _sampling(case: Case) -> list[Line]:
    """Compare which frames of a film are read and kept, and the mask."""
    lines = []
    for place, film in enumerate(json.loads((case.folder / case.file).read_text())):
        found = _kept(film)
        for name, want in film["out"].items():
            good = [int(each) for each in found.get(name, ())] == want
            lines.append(Line(f"{case.name}: {place} {name}", 0.0 if good else float("inf"), good))
    return lines


def _kept(film: Mapping[str, Any]) -> dict[str, Any]:
    span = (film["start"], film["end"]) if film.get("start") is not None else None
    read = second_indices(film["frame_count"], film["fps"], each_second=film["framerate"], span_seconds=span)
    most = film["max_frames"]
    chosen = SLICES[film["slice_framepos"]](len(read), most) if len(read) else read
    rng = np.random.RandomState(film["np_seed"]) if "np_seed" in film else None
    kept = read[chosen][reorder(len(chosen), ORDERS[film["frame_order"]], rng)] if len(read) else read
    mask = [1] * len(kept) + [0] * (most - len(kept))
    return {"read_frame_indices": read, "kept_frame_indices": kept, "video_mask": mask}
