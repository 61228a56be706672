"""DepthCLIP against its official code: head, mirror average, stretching, NYU and KITTI errors, pooling, prompts."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor

from core.backbones.dense import pool_each_place, resize_positions
from core.backbones.tokenizer import clip_tokenizer
from core.depth.depthclip import (
    DepthSettings,
    scaled_products,
    thin_channels,
)
from core.metrics.depth import EIGEN_CROP, garg_crop, kitti_errors, nyu_errors
from core.results import DepthAnswer, stretch
from core.zero_shot.clip import ensemble
from tests.parity.compare import Case, Line, compare

NYU_HW = (480, 640)
SEEN_XYXY = (60, 56, 604, 472)  # the manifest's notes: the part of an NYU picture that the official code looks at
SEEN_HW = (472 - 56, 604 - 60)
LOGIT_ATOL = 2e-3  # the manifest's tolerance in words: their effective scale is 1000


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        return _prompts(case)
    inputs = case.part("in")
    if "layer4_of_flipped_image" in inputs:
        return _compare_head(case, _head(case, inputs))
    if "pred_grid" in inputs:
        seen = [stretch(grid, SEEN_HW).astype(np.float32) for grid in inputs["pred_grid"][:, 0].numpy()]
        return compare(case, {"metrics": _nyu(seen, inputs)})
    if "pred" in inputs:
        return compare(case, _kitti(case, inputs))
    return compare(case, _pooling(case, inputs))


def _settings(config: Mapping, template: str) -> DepthSettings:
    return DepthSettings(
        words=tuple(config["words"]),
        bins_metres=tuple(config["bins"]),
        temperature=config["temperature"],
        template=template.replace("{}", config["obj"][0], 1),
    )


def _head(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    settings = _settings(case.config, case.config["templates"][0])
    texts = ensemble(inputs["text_raw"])
    features = thin_channels(inputs["layer4"], texts.shape[1])
    plain = scaled_products(features, texts).numpy()
    mirrored = scaled_products(thin_channels(inputs["layer4_of_flipped_image"], texts.shape[1]), texts).numpy()
    both = np.stack([plain, mirrored[..., ::-1]], axis=1)  # (B, V, K, h, w)
    size_hw = _size(case)
    answers = [_answer(views, settings, size_hw) for views in both]
    alone = [_answer(views[None], settings, size_hw) for views in plain]
    found = {
        "text_features": texts.T,
        "inter.img_features_half": features.flatten(1, 2),
        "inter.logits": torch.from_numpy(plain / np.float32(settings.temperature)),
        "inter.probabilities": torch.from_numpy(np.stack([answer.responses for answer in alone])),
        "depth_grid": _grids(alone),
        "depth_grid_of_flipped_image": _grids([_answer(views[None], settings, size_hw) for views in mirrored]),
        "depth_grid_flip_averaged": _grids(answers),
    }
    stretched = [name for name in case.part("out") if re.match(r"depth_\d+x\d+_", name)]
    found |= {name: _stretched(name, answers) for name in stretched}
    if "metrics" in case.part("out"):
        found["metrics"] = _nyu([answer.depth.metres for answer in answers], inputs)
    return found


def _size(case: Case) -> tuple[int, int]:
    """Return the size over which depths are stretched, as the goldens' names have it: depth_416x544_sum."""
    found = re.search(r"out\.depth_(\d+)x(\d+)_", " ".join(case.tensors))
    return (int(found[1]), int(found[2])) if found else SEEN_HW


def _answer(views: np.ndarray, settings: DepthSettings, size_hw: tuple[int, int]) -> DepthAnswer:
    return DepthAnswer.from_logits(views, settings.words, settings.bins_metres, settings.temperature, size_hw)


def _stretched(name: str, answers: list[DepthAnswer]) -> Tensor:
    """Return what a golden's name asks for: depth_416x544_ and then stride4, sum or image0_rows_0_207_415."""
    part = name.split("_", 2)[2]
    depth = torch.from_numpy(np.stack([a.depth.metres[None] for a in answers]))  # (B, 1, H, W)
    numbers = [int(number) for number in re.findall(r"\d+", part)]
    if part.startswith("stride"):
        return depth[..., :: numbers[0], :: numbers[0]]
    return depth[numbers[0], 0, numbers[1:]] if part.startswith("image") else depth.double().sum().float()


def _grids(answers: list[DepthAnswer]) -> Tensor:
    """Return depths before stretching, (B, 1, h, w)."""
    return torch.from_numpy(np.stack([np.tensordot(a.bins_metres, a.responses, 1)[None] for a in answers]))


def _compare_head(case: Case, found: Mapping[str, Tensor]) -> list[Line]:
    """Compare with the manifest's tolerances, which are looser for what has been multiplied by 1000."""
    loose = compare(replace(case, tolerance={**case.tolerance, "atol": LOGIT_ATOL}), found)
    strict = compare(case, found)
    return [b if b.name.endswith("logits") else a for a, b in zip(strict, loose, strict=True)]


def _nyu(seen: list[np.ndarray], inputs: Mapping[str, Tensor]) -> Tensor:
    """Paste predictions into empty NYU pictures and return the mean of their errors."""
    left, top, right, bottom = SEEN_XYXY
    errors = []
    small = next(value for name, value in inputs.items() if name.startswith("gt_mm_"))
    for prediction, millimetres in zip(seen, small[:, 0].numpy(), strict=True):
        scale = NYU_HW[0] // millimetres.shape[0]
        truth = (millimetres.astype(np.float32) / 1000).clip(0, 10).repeat(scale, 0).repeat(scale, 1)
        whole = np.zeros(NYU_HW, np.float32)
        whole[top:bottom, left:right] = prediction
        errors.append(list(nyu_errors(whole, truth, crop=EIGEN_CROP).values()))
    return torch.tensor(np.mean(errors, axis=0))


def _kitti(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    maps = list(zip(inputs["pred"][:, 0].numpy(), inputs["gt"][:, 0].numpy(), strict=True))
    crops = {"crop": garg_crop(maps[0][1].shape), "no_crop": None}
    return {
        name: torch.tensor(
            np.mean([[*kitti_errors(*pair, crop=crop, max=case.config["cap"]).values()] for pair in maps], axis=0)
        )
        for name, crop in crops.items()
    }


def _pooling(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights, layer4 = case.part("weights"), inputs["layer4"]
    table = weights["positional_embedding"]
    side = round((len(table) - 1) ** 0.5)
    pool = AttentionPool2d(side, table.shape[1], case.config["heads"], len(weights["c_proj.weight"]))
    pool.load_state_dict(weights)
    with torch.inference_mode():
        tokens = pool_each_place(pool, layer4)  # (B, h, w, D)
        return {
            "inter.positions": resize_positions(table, layer4.shape[2:]),
            "tokens": tokens.flatten(1, 2).transpose(0, 1),
        }


def _prompts(case: Case) -> list[Line]:
    golden = json.loads((case.folder / case.file).read_text())
    config = json.loads((case.folder / "manifest.json").read_text())["released_config"]
    prompts = _settings(config, config["template"]).prompts
    lines = []
    for index, wanted in enumerate(golden["prompts"]):
        prompt = prompts[index] if index < len(prompts) else ""
        ids = clip_tokenizer()([prompt])[0].tolist()
        length = ids.index(max(ids)) + 1  # the end token has the highest id
        good = prompt == wanted and ids[:length] == golden["token_ids_without_padding"][index]
        lines.append(Line(f"{case.name}: {wanted!r}", 0.0 if good else float("inf"), good))
    return lines
