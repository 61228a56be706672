"""LSeg against isl-org/lang-seg: every stage of the image tower, blocks, pairs of words, the sliding windows."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.dpt import double, size_of
from core.segmentation.lseg_evaluator import EvaluatorSettings, window_scores
from core.segmentation.lseg_model import ACTIVATIONS, KINDS, LOGIT_SCALE, Kernel, LsegNetwork, Regulariser, products
from tests.parity.compare import Case, Line, compare

KERNEL = "depthwise.depthwise"  # under which a block's kernel is stored


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    inputs = case.part("in")
    with torch.inference_mode():
        return compare(case, _found(case, inputs))


def _found(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if "toy_kernel" in inputs:
        return _evaluator(case, inputs)
    if "logits" in inputs:
        return _blocks(case, inputs["logits"])
    network = _network(case)
    if "head_block.weight" in inputs:
        return _arch_options(case, network, inputs)
    if "class_info" in case.config:
        return {"logits": _pairs(network, inputs, case.config["class_info"])}
    golden = case.part("out")
    found = _stages(network, inputs)
    if "logits_fp16_path" in golden:
        found["logits_fp16_path"] = _half_path(golden.get("head1", found["head1"]), inputs["text_features"])
    return found


def _network(case: Case) -> LsegNetwork:
    """Return the case's network; a case without weights names the case whose it has ('same as case vitl16')."""
    owner, tensors = case, case.part("weights")
    if not tensors:
        name = re.search(r"case (\w+)", str(case.config["model"]))[1]
        owner = _named(case, name)
        tensors = owner.part("weights")
    config = owner.config
    size = replace(size_of(tensors, heads=config["heads"]), hooks=tuple(config["hooks"]))
    network = LsegNetwork(size, len(tensors["scratch.head1.weight"])).eval()
    own = network.state_dict()
    network.load_state_dict({key: value for key, value in tensors.items() if key in own})
    return network


def _named(case: Case, name: str) -> Case:
    """Return another case of the same folder."""
    found = json.loads((case.folder / "manifest.json").read_text())["cases"][name]
    return Case(name, case.folder, found["config"], found["tolerance"], found["file"])


def _stages(network: LsegNetwork, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return everything between picture and scores, by the goldens' names."""
    found: dict[str, Tensor] = {}
    encoder, scratch = network.pretrained, network.scratch
    watched: dict[str, nn.Module] = {"head1": scratch.head1}
    for number in (1, 2, 3, 4):
        parts = getattr(encoder, f"act_postprocess{number}")
        fusion = getattr(scratch, f"refinenet{number}")
        watched |= {
            f"hook{number}": encoder.model.blocks[encoder.model.size.hooks[number - 1]],
            f"readout{number}": parts["0"],
            f"proj1x1_{number}": parts["3"],
            f"layer{number}": parts["4"] if "4" in parts else parts["3"],
            f"layer{number}_rn": getattr(scratch, f"layer{number}_rn"),
            f"path{number}": fusion,
            f"refinenet{number}.resConfUnit1": fusion.resConfUnit1,
            f"refinenet{number}.resConfUnit2": fusion.resConfUnit2,
        }
    for name, module in watched.items():
        module.register_forward_hook(lambda module, given, out, name=name: found.update({name: out}))
    image, texts = inputs["image"], inputs["text_features"]
    features, units = network.features(image), F.normalize(texts, dim=-1)
    patch = encoder.model.size.patch
    return found | {
        "pos_embed_resized": encoder.model.positions((image.shape[2] // patch, image.shape[3] // patch)),
        "logits_half_resolution": products(features, units),
        "logits": network(image, texts),
    }


def _half_path(head1: Tensor, texts: Tensor) -> Tensor:
    """Return the scores as the released code rounds them, from the golden's own head1: a half step flips roundings."""
    rows = F.normalize(head1.permute(0, 2, 3, 1).flatten(0, 2), dim=-1).half()
    halves = texts.half()
    scores = (torch.tensor(LOGIT_SCALE) * rows) @ (halves / halves.norm(dim=-1, keepdim=True)).T
    batch, _, height, width = head1.shape
    return double(scores.float().view(batch, height, width, -1).permute(0, 3, 1, 2))


def _arch_options(case: Case, network: LsegNetwork, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kernel = _kernel(inputs["head_block.weight"], inputs["head_block.bias"])
    logits = products(network.features(inputs["image"]), F.normalize(inputs["text_features"], dim=-1))
    found = {}
    for name in case.part("out"):
        option, depth, activation = re.fullmatch(r"logits\.arch(\d)\.depth(\d+)\.(\w+)", name).groups()
        found[name] = double(_regularised(kernel, logits, KINDS[int(option)], int(depth), activation))
    return found


def _blocks(case: Case, logits: Tensor) -> dict[str, Tensor]:
    weights = case.part("weights")
    kernel = _kernel(weights[f"{KERNEL}.weight"], weights[f"{KERNEL}.bias"])
    found = {}
    for name in case.part("out"):
        kind, activation, what = name.split(".")
        if what.startswith("depth"):
            found[name] = _regularised(kernel, logits, kind, int(what.removeprefix("depth")), activation)
        elif what == "without_activation":
            found[name] = kernel.block(logits, kind)
        else:
            found[name] = ACTIVATIONS[activation](kernel.block(logits, kind))
    return found


def _regularised(kernel: Kernel, logits: Tensor, kind: str, depth: int, activation: str) -> Tensor:
    """Apply blocks as released: with depth 0 there is one block all the same."""
    return kernel(logits, Regulariser(kind=kind, blocks=max(1, depth), activation=activation))


def _kernel(weight: Tensor, bias: Tensor) -> Kernel:
    kernel = Kernel()
    kernel.load_state_dict({f"{KERNEL}.weight": weight, f"{KERNEL}.bias": bias})
    return kernel


def _pairs(network: LsegNetwork, inputs: Mapping[str, Tensor], classes: list[int]) -> Tensor:
    """Score 'others' and each picture's own class."""
    texts = inputs["text_features"]
    rows = [texts[[0, 1 + each]] for each in classes]
    return torch.cat([network(image[None], pair) for image, pair in zip(inputs["image"], rows, strict=True)])


def _evaluator(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    config = case.config
    found: dict[str, Any] = {}
    for name in case.part("out"):
        if not name.startswith("scores."):
            continue
        scales = tuple(config["scales"]) if ".all_scales." in name else (1.0,)
        settings = EvaluatorSettings(
            scales=scales,
            flip=name.endswith(".flip"),
            base=config["base_size"],
            crop=config["crop_size"],
            padding=-config["mean"][0] / config["std"][0],
        )
        calls = []

        def toy(crop: Tensor, calls: list = calls) -> Tensor:
            calls.append(len(crop))
            return torch.tanh(F.conv2d(crop, inputs["toy_kernel"], padding=1) + inputs["toy_bias"][:, None, None])

        found[name] = window_scores(toy, inputs["image"], settings)
        found[name.replace("scores.", "n_calls.")] = torch.tensor(sum(calls))
    return found
