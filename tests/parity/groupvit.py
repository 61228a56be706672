"""GroupViT against the official code: every step of both towers, the assignments, the losses and the segmentation.

Maps of arg-maxima are discrete, so a few pixels on the border of two groups may differ; everything else is compared
as the manifest says.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.segmentation import groupvit_inference as inference
from core.segmentation.groupvit import class_embedding
from core.segmentation.groupvit_model import GroupVit, GroupVitSize, assignment, factor
from core.train.groupvit import multi_label_loss
from core.train.losses import contrastive_loss
from tests.parity.compare import Case, Line, compare

BORDER_SHARE = 0.01  # of pixels that may fall on the other side of a border
MAPS = re.compile(r"argmax|pred_logits|group_index_map")


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    inputs = case.part("in")
    if "upstream" in inputs:
        found = _assignment(case, inputs)
    elif "soft1" in inputs:
        given = {key: inputs[key] for key in ("soft1", "soft2", "image_feat", "image_x")}
        found = _segmentation(case, inputs, given, inputs["logit_scale"])
    elif "weights_from" in case.config or "text_embedding" in inputs:
        found = _end_to_end(case, inputs)
    else:
        found = _losses(case, inputs) if "text_x" in inputs else _model(case, inputs)
    return [_line(case, line, found) for line in compare(case, found)]


def _line(case: Case, line: Line, found: Mapping[str, Tensor]) -> Line:
    """Let a few pixels of a discrete map differ."""
    name = line.name.removeprefix(f"{case.name}: ")
    if line.good or not MAPS.search(name) or name not in found:
        return line
    want, got = case.part("out")[name], found[name]
    if want.shape != got.shape:
        return line
    differs = (want - got).abs() > 1e-3
    return Line(line.name, line.error, float(differs.float().mean()) <= BORDER_SHARE)


def _model(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    model = _built(case.config, case.part("weights"))
    seen: dict[str, Tensor] = {}
    hooks = _watch(model, seen)
    with torch.no_grad():
        image, grouped = model.encode_image(inputs["image"])
        for hook in hooks:
            hook.remove()
        found = dict(seen) | _assignments(grouped.soft, "soft") | _assignments(grouped.hard, "hard")
        found |= {"feat": grouped.groups, "pooled": grouped.pooled, "image_x": image}
        found["image_feat"] = model.img_projector(grouped.groups)
        found |= _other_size(model, inputs["image_other_size"])
        texts = inputs["class_text"]  # (N, T, P)
        found["text_encoder"] = model.text_encoder(texts.flatten(0, 1))
        found["text_x"] = model.encode_text(texts.flatten(0, 1))
        found["class_embedding"] = class_embedding(found["text_x"].unflatten(0, texts.shape[:2]))
        found["zero_shot_logits"] = torch.nn.functional.normalize(image, dim=-1) @ found["class_embedding"].T
        found |= _training_losses(model, image, inputs["train_text"])
    return found


def _built(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> GroupVit:
    size = GroupVitSize(
        image_size=config["img_size"],
        patch_size=config["patch_size"],
        width=config["embed_dim"],
        heads=config["num_heads"][0],
        depths=tuple(config["depths"]),
        group_tokens=tuple(config["num_group_tokens"]),
        output_groups=(*config["num_output_groups"], 0),
        text_width=config["text_width"],
        text_layers=config["text_layers"],
        text_heads=config["heads_text"],
        context_length=config["context_length"],
        vocab_size=config["vocab_size"],
        embed_dim=config["output_dim"],
        projector_width=config["inner_dim"],
    )
    model = GroupVit(size)
    model.load_state_dict(weights)
    return model.eval()


def _watch(model: GroupVit, seen: dict[str, Tensor]) -> list[torch.utils.hooks.RemovableHandle]:
    """Note what goes through the places that the goldens name."""
    tower = model.img_encoder
    places = {"patch_embed": (tower.patch_embed, None)}
    for index, stage in enumerate(tower.layers):
        at = f"stage{index}"
        places |= {f"{at}.block{depth}": (block, None) for depth, block in enumerate(stage.blocks)}
        if not stage.tokens:
            places[f"{at}.out"] = (stage, 0)
            continue
        grouping = stage.downsample
        places |= {
            f"{at}.grouping.norm_post_tokens": (grouping.norm_post_tokens, None),
            f"{at}.grouping.pre_assign_attn": (grouping.pre_assign_attn, None),
            f"{at}.grouping.assign": (grouping.assign, 0),
            f"{at}.grouping.mlp_channels": (grouping.mlp_channels, None),
            f"{at}.out": (grouping, 0),
            f"{at}.group_tokens_out": (stage, 1),
        }
        if index:
            places[f"{at}.group_projector"] = (stage.group_projector, None)

    def keep(name: str, part: int | None) -> Any:
        return lambda _module, _inputs, out: seen.update({name: out if part is None else out[part]})

    return [module.register_forward_hook(keep(name, part)) for name, (module, part) in places.items()]


def _assignments(maps: tuple[Tensor, ...], kind: str) -> dict[str, Tensor]:
    return {f"stage{index}.assign_{kind}": each[:, None] for index, each in enumerate(maps)}


def _other_size(model: GroupVit, image: Tensor) -> dict[str, Tensor]:
    grouped = model.img_encoder(image)
    patch = model.img_encoder.patch
    found = {"pooled": grouped.pooled, "feat": grouped.groups} | _assignments(grouped.soft, "soft")
    found["pos_embed"] = model.img_encoder.positions(image.shape[2] // patch, image.shape[3] // patch)
    return {f"other_size.{name}": value for name, value in found.items()}


def _training_losses(model: GroupVit, image: Tensor, texts: Tensor) -> dict[str, Tensor]:
    """Return both losses of pictures with a caption and K prompts each, all prompts being different."""
    words = model.encode_text(texts.flatten(0, 1)).unflatten(0, texts.shape[:2])
    own = _own_prompts(len(image), words.shape[1] - 1)
    cosines = _cosines(image, words[:, 1:].flatten(0, 1))
    return {
        "train.loss": contrastive_loss(image, words[:, 0], factor(model.logit_scale)),
        "train.multi_label_loss": multi_label_loss(cosines, factor(model.multi_label_logit_scale), own),
    }


def _cosines(images: Tensor, prompts: Tensor) -> Tensor:
    return torch.nn.functional.normalize(images, dim=-1) @ torch.nn.functional.normalize(prompts, dim=-1).T


def _own_prompts(pictures: int, prompts: int) -> Tensor:
    """Return which of all prompts are whose, (B, B * K)."""
    return torch.eye(pictures, dtype=torch.bool).repeat_interleave(prompts, dim=1)


def _losses(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return each kind's two losses and their gradients.

    What the two scales are is read off the config; how far above 100 the clamped ones were makes no difference.
    """
    config = case.config
    found: dict[str, Tensor] = {}
    above = torch.log(torch.tensor(200.0))
    scales = {
        "separate": (torch.tensor(config["log_scale"]), torch.tensor(config["ml_log_scale"])),
        "shared": (torch.tensor(config["log_scale"]),) * 2,
        "clamped": (above, above),
    }
    kinds = {name.split(".")[0] for name in case.part("out")}
    for kind in kinds:
        log_scale, own_scale = (value.clone().float().requires_grad_() for value in scales[kind])
        leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
        loss = contrastive_loss(leaves["image_x"], leaves["text_x"], factor(log_scale))
        loss.backward()
        found[f"{kind}.loss"] = loss
        found |= {f"{kind}.loss.grad.{name}": leaves[name].grad for name in ("image_x", "text_x")}
        found[f"{kind}.loss.grad.logit_scale"] = log_scale.grad
        own = _own_prompts(*leaves["text_feat"].shape[:2])
        images, prompts = leaves["image_feat"].flatten(0, 1), leaves["text_feat"].flatten(0, 1)
        multi = multi_label_loss(_cosines(images, prompts), factor(own_scale), own)
        multi.backward()
        found[f"{kind}.multi_label_loss"] = multi
        found |= {f"{kind}.multi_label_loss.grad.{name}": leaves[name].grad for name in ("image_feat", "text_feat")}
    return found


def _assignment(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    noise, tau = inputs["noise"], float(case.config["tau"])
    for name, drawn, which in (("gumbel_hard", noise, 0), ("gumbel_soft", noise, 1), ("eval_hard", None, 0)):
        logits = inputs["logits"].clone().requires_grad_()
        result = assignment(logits, drawn, tau=tau)[which]
        (gradient,) = torch.autograd.grad(result, logits, inputs["upstream"])
        found |= {name: result, f"{name}.grad_logits": gradient}
    return found


def _end_to_end(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run the whole network of the model case, whose weights and sizes are in the same folder."""
    cases = json.loads((case.folder / "manifest.json").read_text())["cases"]
    source = next(each for each in cases.values() if each["file"] == cases[case.name]["weights_from"])
    tensors = load_file(case.folder / source["file"])
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
    model = _built(source["config"], weights)
    with torch.no_grad():
        image, grouped = model.encode_image(inputs["image"])
        first, second = (soft[:, None] for soft in grouped.soft)
        given = {"soft1": first, "soft2": second, "image_feat": model.img_projector(grouped.groups), "image_x": image}
        return _segmentation(case, inputs, given, model.logit_scale)


def _segmentation(
    case: Case, inputs: Mapping[str, Tensor], given: Mapping[str, Tensor], log_scale: Tensor
) -> dict[str, Tensor]:
    size_hw = tuple(inputs["image"].shape[2:])
    first, second = given["soft1"][0, 0], given["soft2"][0, 0]
    grid = _grid(size_hw, first.shape[1])
    final = inference.attention_map(inference.joined(first, second), grid, size_hw)
    group_of = final.argmax(0)
    scale = factor(log_scale)
    logits = inference.group_logits(given["image_feat"][0], inputs["text_embedding"], scale)
    image = inference.group_logits(given["image_x"], inputs["text_embedding"], scale)
    kept = inference.kept_words(image[0])
    scores = inference.group_scores(logits, kept)
    found = {
        "attn_map0": inference.attention_map(first, grid, size_hw).permute(1, 2, 0)[None],
        "attn_map1": final.permute(1, 2, 0)[None],
        "group_index_map": group_of[None],
        "group_logits": logits,
        "group_prob_all_classes": logits.softmax(-1),
        "image_prob": image.softmax(-1),
        "group_prob_masked": logits.masked_fill(~kept, float("-inf")).softmax(-1),
        "group_score": scores,
    }
    for name in case.part("out"):
        if match := re.match(r"(nobg|bg([\d.]+))\.pred_logits", name):
            pixels = inference.class_scores(scores, group_of, float(match[2]) if match[2] else None)
            found |= {name: pixels[None], f"{match[1]}.argmax": pixels.argmax(0)[None]}
    return found


def _grid(size_hw: tuple[int, int], patches: int) -> tuple[int, int]:
    """Return the grid that so many square patches make of a picture."""
    patch = round((size_hw[0] * size_hw[1] / patches) ** 0.5)
    return size_hw[0] // patch, size_hw[1] // patch
