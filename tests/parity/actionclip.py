"""ActionCLIP against the official code: heads, shift, joint frames, losses and scores by steps; prompts; sampling."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.action.fusion import HEADS, MeanPool, head_from_tensors
from core.action.matching import kl_loss, label_matrix, similarity_logits, soft_target
from core.action.scores import TemplateScores
from core.action.templates import TEMPLATES
from core.action.temporal_shift import encode_joint, encode_shifted, joint_tokens, shift_maps, shift_tokens
from core.backbones.clip_model import HEAD_WIDTH, encode_image
from core.backbones.tokenizer import clip_tokenizer
from core.media_video import tsn_segment_indices
from core.prompts import fill
from tests.parity.compare import Case, Line, compare

EXACT = {"rtol": 0.0, "atol": 0.0}
SCALE = 100.0
# (rtol, atol) by kind of case: the manifest's sentence is stricter than its two numbers
TOLERANCES = {"Transf": (0.0, 2e-4), "loss": (1e-4, 1e-5), "probabilities": (0.0, 1e-5), "head": (0.0, 1e-4)}


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        golden = json.loads((case.folder / case.file).read_text())
        return _prompts(case, golden) if isinstance(golden, dict) else _sampling(case, golden)
    if "sim_head" in case.config:
        return _lines(case, _head(case), "Transf" if case.config["sim_head"].startswith("Transf") else "head")
    if "batches" in case.config:
        return _lines(case, _losses(case), "loss")
    if "num_text_aug" in case.config:
        return _lines(case, _validation(case), "probabilities")
    if "weights.time_embedding" in case.tensors:
        return _lines(case, _joint(case), "head")
    return _shift(case)


def _lines(case: Case, found: Mapping[str, Tensor], kind: str) -> list[Line]:
    rtol, atol = TOLERANCES[kind]
    return compare(_with(case, {"rtol": rtol, "atol": atol}), found)


def _with(case: Case, tolerance: Mapping[str, float]) -> Case:
    return Case(case.name, case.folder, case.config, tolerance, case.file)


def _head(case: Case) -> dict[str, Tensor]:
    name, frames = case.config["sim_head"], case.part("in")["frames"]
    weights, heads = case.part("weights"), int(case.config["width"]) // HEAD_WIDTH
    head = head_from_tensors(name, weights, heads=heads)
    found: dict[str, Tensor] = {}
    _watch(head, found)
    with torch.no_grad():
        found["video"] = head(frames)
        seen = dict(found)
        found["video_reversed_frames"] = head(frames.flip(1))
        found |= {key: value for key, value in seen.items() if key.startswith("inter.")}
        if name == "Transf":
            found["inter.transf_in"] = head.placed(frames)
        if name == "LSTM":
            found["inter.lstm_out"] = head.per_frame(frames) - frames
        if name == "Conv_1D":
            fixed = head_from_tensors("Conv_1D_fixed", weights, heads=heads)
            found["inter.conv_in"] = head.columns(frames)
            found["inter.conv_out"] = head.shift(head.columns(frames))
            found["video_fixed"], found["video_fixed_per_frame"] = fixed(frames), fixed.per_frame(frames)
    assert name in HEADS
    return found


def _watch(head: nn.Module, found: dict[str, Tensor]) -> None:
    """Note what the layers of a transformer hand on."""
    stack = getattr(head, "transformer", None)
    named = {"block": getattr(stack, "resblocks", ())}
    if hasattr(stack, "transformer_enc"):
        named["layer"] = stack.transformer_enc.layers
    for word, layers in named.items():
        for place, layer in enumerate(layers):
            key = f"inter.{word}{place}"
            layer.register_forward_hook(lambda _, __, out, key=key: found.update({key: out.detach()}))


def _vit(case: Case) -> VisionTransformer:
    """Return the image tower of a case with its weights, without those that are no part of a plain one."""
    config = case.config
    visual = VisionTransformer(
        config["res"],
        config["patch"],
        config["width"],
        config["layers"],
        config["heads"],
        4.0,
        output_dim=config["out"],
        act_layer=partial(QuickGELU),
    )
    visual.load_state_dict({k: v for k, v in case.part("weights").items() if k != "time_embedding"})
    return visual.eval()


def _shift(case: Case) -> list[Line]:
    inputs, frames, share = case.part("in"), int(case.config["T"]), int(case.config["n_div"])
    visual = _vit(case)
    tokens = inputs["tokens"].transpose(0, 1)
    moved = {
        "tokens_shifted": shift_tokens(tokens, frames, share).transpose(0, 1),
        "feat4d_shifted": shift_maps(inputs["feat4d"], frames, share),
    }
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        found["vit_plain"] = encode_image(_Visual(visual), inputs["pixels"])
        for place, block in enumerate(visual.transformer.resblocks):
            key = f"inter.tsm_block{place}"
            block.register_forward_hook(lambda _, __, out, key=key: found.update({key: out.detach().transpose(0, 1)}))
        found["vit_tsm"] = encode_shifted(visual, inputs["pixels"], frames, share)
    lines = _lines(case, found | moved, "head")
    exact = {line.name: line for line in compare(_with(case, EXACT), found | moved)}
    return [exact[line.name] if line.name.endswith("_shifted") else line for line in lines]


class _Visual(nn.Module):
    """Stands for a CLIP of which only the image tower is asked."""

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.visual = visual


def _joint(case: Case) -> dict[str, Tensor]:
    visual, pixels, times = _vit(case), case.part("in")["pixels"], case.part("weights")["time_embedding"]
    with torch.no_grad():
        return {
            "inter.joint_tokens_before_ln_pre": joint_tokens(visual, times, pixels),
            "video": encode_joint(visual, times, pixels),
        }


def _losses(case: Case) -> dict[str, Tensor]:
    inputs, scale = case.part("in"), float(np.exp(case.config["logit_scale"]))
    found: dict[str, Tensor] = {}
    for name in case.config["batches"]:
        video, text = (inputs[f"{name}.{part}"].clone().requires_grad_() for part in ("image", "text"))
        matrix = label_matrix(inputs[f"{name}.labels"])
        target = soft_target(matrix)
        by_video, by_text = similarity_logits(video, text, scale)
        losses = kl_loss(by_video, target), kl_loss(by_text, target)
        loss = sum(losses) / 2
        loss.backward()
        values = {
            "label_matrix": matrix,
            "target": target,
            "logits_image": by_video,
            "logits_text": by_text,
            "loss_image": losses[0],
            "loss_text": losses[1],
            "loss": loss,
            "grad_image": video.grad,
            "grad_text": text.grad,
        }
        found |= {f"{name}.{key}": value.detach() for key, value in values.items()}
    return found


def _validation(case: Case) -> dict[str, Tensor]:
    inputs, templates = case.part("in"), int(case.config["num_text_aug"])
    text = normalize(inputs["text"], dim=-1).unflatten(0, (templates, -1))
    labels, names = tuple(map(str, range(text.shape[1]))), tuple(f"{{}} {i}" for i in range(templates))
    scores = [
        TemplateScores(labels=labels, templates=names, cosines=(text @ video).numpy(), logit_scale=SCALE)
        for video in normalize(MeanPool()(inputs["frames"]), dim=-1)
    ]
    shares = np.stack([each.probabilities() for each in scores])
    ranked = np.stack([each.ranking().order() for each in scores])
    truth = inputs["labels"].numpy()[:, None]
    assert np.allclose(shares, np.stack([each.ranking().probabilities() for each in scores]), atol=1e-5)
    return {
        "probs_mean_over_templates": torch.from_numpy(shares),
        "top1_percent": torch.tensor(100 * float((ranked[:, :1] == truth).any(1).mean())),
        "top5_percent": torch.tensor(100 * float((ranked[:, :5] == truth).any(1).mean())),
    }


def _prompts(case: Case, golden: Mapping[str, Any]) -> list[Line]:
    names = golden["class_names"]
    ours = [[fill(template, name) for name in names] for template in TEMPLATES]
    tokens = clip_tokenizer(golden["context_length"])([text for row in ours for text in row])
    plain = [[int(i) for i in row[: int(row.argmax()) + 1]] for row in tokens]
    want = golden["token_ids_without_padding"]
    flat = want if isinstance(want[0][0], int) else [row for part in want for row in part]
    return [
        _same(f"{case.name}: num_templates", golden["num_templates"], len(TEMPLATES)),
        _same(f"{case.name}: prompts", golden["prompts"], ours),
        _same(f"{case.name}: token_ids", flat, plain),
        _same(f"{case.name}: tokens_shape", list(golden["tokens_shape"]), list(tokens.shape)),
    ]


def _sampling(case: Case, golden: list[Mapping[str, Any]]) -> list[Line]:
    lines = []
    for each in golden:
        count, segments, length = each["num_frames"], each["num_segments"], each["seg_length"]
        sample = partial(tsn_segment_indices, count, segments, length)
        legacy = np.random.RandomState(each["train_np_seed"])
        found = {
            "val": sample(),
            "train_random": _train_random(legacy, count, segments, length),
            "train_lowest": sample(draw=lambda bound: 0),
            "train_highest": sample(draw=lambda bound: bound - 1),
            "train_centre": sample(draw=lambda bound: (bound - 1) // 2),
        }
        name = f"{case.name}: {count} frames, {segments} segments of {length}"
        lines += [_same(f"{name}, {key}", each[key], [int(i) + 1 for i in value]) for key, value in found.items()]
    return lines


def _train_random(legacy: np.random.RandomState, count: int, segments: int, length: int) -> np.ndarray:
    """Return what training samples with NumPy's old generator, which the release draws from."""
    return tsn_segment_indices(count, segments, length, lambda bound: int(legacy.randint(bound)))


def _same(name: str, want: Any, got: Any) -> Line:
    return Line(name, 0.0 if want == got else 1.0, want == got)
