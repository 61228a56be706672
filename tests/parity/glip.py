"""GLIP against microsoft/GLIP: the fused dynamic head layer by layer, flat offsets, boxes, pictures and prompts."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Encoding
from torch import Tensor, nn

from core.detection.glip_anchors import cell_anchor, decode, level_anchors
from core.detection.glip_dyhead import OFFSETS, DeformableConv, DyConv, flat, stretched
from core.detection.glip_frame import network_input
from core.detection.glip_fusion import BertLayer, Fusion
from core.detection.glip_model import GlipSize, Head
from core.detection.glip_postprocess import (
    Found,
    PostSettings,
    clipped,
    joined,
    level_candidates,
    phrase_probabilities,
    suppressed,
)
from core.detection.glip_prompts import (
    Prompt,
    chunked_prompts,
    class_prompt,
    demo_prompt,
    described_prompt,
    named_spans,
    phrase_spans,
    positive_map,
    tokens_of_labels,
    word_tokenizer,
)
from tests.parity.compare import Case, Line, compare


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        return _prompts(case)
    inputs = case.part("in")
    with torch.inference_mode():
        return compare(case, _found(case, inputs))


def _found(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if "offset_mask" in inputs:
        return _offsets(case, inputs)
    if "image_bgr" in inputs:
        return _picture(case, inputs)
    return _head(case, inputs) if "text_mask" in inputs else _boxes(case, inputs)


def _head(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    config = case.config
    levels = len(config["levels"])
    size = GlipSize(
        channels=config["channels"],
        layers=config["num_convs"],
        levels=levels,
        joint=config["fuse_embed_dim"],
        fusion_heads=config["fuse_heads"],
        text_width=config["lang_dim"],
        text_heads=config["lang_heads"],
        text_intermediate=config["lang_intermediate"],
    )
    head = Head(size).eval()
    head.load_state_dict(case.part("weights"))
    found: dict[str, Tensor] = {}
    seen = dict.fromkeys((Fusion, BertLayer, DyConv), 0)
    for module in head.dyhead_tower:
        _watch(module, f"layer{seen[type(module)]}", found)
        seen[type(module)] += 1
    maps = [inputs[f"p{level}"] for level in range(levels)]
    scores = head(maps, inputs["text_hidden"], inputs["text_mask"])
    for level in range(levels):
        found[f"bbox_reg{level}"] = scores.boxes[level]
        found[f"centerness{level}"] = scores.centerness[level]
        found[f"token_logits{level}"] = scores.tokens[level]
    units = F.normalize(scores.hidden, dim=-1)
    return found | {
        "fused_language": scores.hidden,
        "token_projection": head.dot_product_projection_text(units / 2),
        "token_bias": units @ head.bias_lang + head.bias0,
        "cls_logits0_unused_mean": head.cls_logits(scores.maps[0]).mean(),
    }


def _watch(module: nn.Module, layer: str, found: dict[str, Tensor]) -> None:
    """Keep what a layer of the tower makes, by the goldens' names."""

    def keep(name: Callable[[int], str]) -> Callable:
        calls = []

        def hook(_: nn.Module, given: Any, out: Any = None) -> None:  # before a module there is no `out` yet
            found[name(len(calls))] = given[0] if out is None else out
            calls.append(1)

        return hook

    if isinstance(module, BertLayer):
        module.register_forward_hook(keep(lambda _: f"{layer}.bert.hidden"))
    elif isinstance(module, Fusion):

        def fused(_: nn.Module, given: Any, out: Any) -> None:
            found.update({f"{layer}.fuse.visual{level}": each for level, each in enumerate(out[0])})
            found[f"{layer}.fuse.hidden"] = out[1]

        def exchanged(_: nn.Module, given: Any, out: Any) -> None:
            found[f"{layer}.fuse.attn.delta_v"], found[f"{layer}.fuse.attn.delta_l"] = out

        module.register_forward_hook(fused)
        module.b_attn.attn.register_forward_hook(exchanged)
    else:

        def moved(_: nn.Module, given: Any, out: Any) -> None:
            found.update({f"{layer}.dyconv.visual{level}": each for level, each in enumerate(out)})

        module.register_forward_hook(moved)
        module.offset.register_forward_hook(keep(lambda call: f"{layer}.offset.call{call}"))
        module.AttnConv.register_forward_hook(keep(lambda call: f"{layer}.AttnConv.call{call}"))
        for number, conv in enumerate(module.DyConv):
            name = f"{layer}.DyConv{number}"
            conv.register_forward_hook(keep(lambda call, name=name: f"{name}.out.call{call}"))
            conv.bn.register_forward_pre_hook(keep(lambda call, name=name: f"{name}.dcn.call{call}"))


def _offsets(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = case.part("weights")
    offsets, mask = inputs["offset_mask"][:, :OFFSETS], inputs["offset_mask"][:, OFFSETS:].sigmoid()
    same, fine, coarse = (inputs[f"feat_{name}"] for name in ("same", "fine", "coarse"))
    out, channels = weights["weight"].shape[:2]

    def conv(x: Tensor, stride: int, offsets: Tensor, mask: Tensor) -> Tensor:
        layer = DeformableConv(channels, out, stride, groups=1)
        layer.conv.load_state_dict(weights)
        return layer.convolved(x, offsets, mask)

    own = [flat(part, coarse.shape[2:]) for part in (offsets, mask)]
    meant = [stretched(part, coarse.shape[2:]) for part in (offsets, mask)]
    return {
        "same": conv(same, 1, offsets, mask),
        "finer_stride2": conv(fine, 2, offsets, mask),
        "coarser_flat": conv(coarse, 1, *own),
        "coarser_flat_check_torchvision": conv(coarse, 1, *own),
        "flat_offset": own[0],
        "flat_mask": own[1],
        "NOT_OFFICIAL_resized_offsets": conv(coarse, 1, *meant),
    }


def _boxes(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    config = case.config
    labels = torch.tensor(sorted(int(label) for label in config["pos_map"]))
    phrases = [config["pos_map"][str(int(label))] for label in labels]
    found: dict[str, Tensor] = {}
    levels = range(len(config["levels"]))
    for level in levels:
        stride = 8 * 2**level
        found[f"cell_anchor{level}"] = cell_anchor(stride)
        found[f"anchors{level}"] = level_anchors(tuple(config["levels"][level]), stride)
        codes = inputs[f"bbox_reg{level}"].flatten(2).transpose(1, 2)
        found[f"decoded_level{level}"] = decode(codes, found[f"anchors{level}"])
        for kind, name in (("mean", ""), ("max", "max_"), ("power", "power_")):
            logits = inputs[f"token_logits{level}"]
            found[f"class_prob_{name}level{level}"] = phrase_probabilities(logits, phrases, kind)
    for picture, size_hw in enumerate(config["image_sizes"]):
        for kind, name in (("mean", ""), ("max", "max_"), ("power", "power_")):
            settings = PostSettings(
                least=config["th"],
                top_places=config["top_per_level"],
                overlap=config["nms"],
                most=config["dets"],
                aggregation=kind,
            )
            parts = [
                level_candidates(
                    clipped(found[f"decoded_level{level}"][picture], tuple(size_hw)),
                    found[f"class_prob_{name}level{level}"][picture],
                    inputs[f"centerness{level}"][picture].flatten(),
                    labels,
                    settings,
                )
                for level in levels
            ]
            if kind == "mean":
                found |= _named(f"candidates.image{picture}", _sorted(joined(parts)))
            for rule in ("gpu", "cpu"):
                kept = suppressed(joined(parts), PostSettings(**{**vars(settings), "rule": rule}))
                found |= _named(f"det.{kind}.{rule}.image{picture}", kept)
    return found


def _sorted(found: Found) -> Found:
    order = found.scores.argsort(descending=True, stable=True)
    return Found(found.boxes[order], found.scores[order], found.labels[order])


def _named(name: str, found: Found) -> dict[str, Tensor]:
    return {f"{name}.boxes": found.boxes, f"{name}.scores": found.scores, f"{name}.labels": found.labels}


def _picture(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    rgb = np.ascontiguousarray(inputs["image_bgr"].numpy()[..., ::-1])
    padded, (height, width) = network_input(rgb, case.config["min_size"], longest_share=float("inf"))
    size = torch.tensor([height, width])
    return {"padded": padded, "transformed": padded[0, :, :height, :width], "image_size": size}


def _prompts(case: Case) -> list[Line]:
    golden = json.loads((case.folder / case.file).read_text())
    tokenizer = word_tokenizer(golden["tokenizer"]["vocab"])
    lines = []
    for number, row in enumerate(golden["cases"]):
        good = CHECKS[row["kind"]](row, tokenizer)
        lines.append(Line(f"{case.name}: {row['kind']} {number}", 0.0 if good else float("inf"), good))
    return lines


def _demo_list(row: Mapping[str, Any], tokenizer: Any) -> bool:
    return _demo(row, tokenizer, demo_prompt(row["input"]))


def _demo_entities(row: Mapping[str, Any], tokenizer: Any) -> bool:
    caption = row["input"]["caption"]
    spans = []
    for entity in row["input"]["entities"]:
        spans += [tuple(entity["char_bounds"])] if "char_bounds" in entity else named_spans(caption, [entity["span"]])
    return _demo(row, tokenizer, _captioned(caption, spans))


def _demo_phrases(row: Mapping[str, Any], tokenizer: Any) -> bool:
    caption = row["input"]["caption"]
    spans = phrase_spans(caption, row["input"]["noun_phrases_from_chunker"])
    return _demo(row, tokenizer, _captioned(caption, spans))


def _captioned(caption: str, spans: Sequence[tuple[int, int]]) -> Prompt:
    return Prompt(text=caption, spans=tuple((span,) for span in spans), labels=tuple(range(len(spans))))


def _demo(row: Mapping[str, Any], tokenizer: Any, prompt: Prompt) -> bool:
    encoding = tokenizer.encode(prompt.text)
    width = row["positive_map_width"]
    labels = tokens_of_labels(encoding, prompt.spans, width)
    rows = positive_map(labels, width)
    wanted = torch.zeros_like(rows)
    for own, golden in zip(wanted, row["positive_map_rows"], strict=True):
        own[golden["columns"]] = torch.tensor(golden["values"])
    return (
        prompt.text == row["caption_string"]
        and _same_tokens(encoding, row["tokenized"])
        and [[list(span) for span in own] for own in prompt.spans] == row["char_spans"]
        and {str(i + 1): list(own) for i, own in enumerate(labels)} == row["label_to_tokens"]
        and torch.allclose(rows, wanted, atol=2e-6)
    )


def _demo_long(row: Mapping[str, Any], tokenizer: Any) -> bool:
    name, times = re.fullmatch(r"'(.*)' repeated (\d+) times", row["input"]).groups()
    prompt = demo_prompt([name] * int(times))
    encoding = tokenizer.encode(prompt.text)
    labels = tokens_of_labels(encoding, prompt.spans, row["positive_map_width"])
    return (
        len(encoding.ids) == row["tokenized"]["number_of_tokens"]
        and prompt.text.startswith(row["caption_string"].removesuffix("..."))
        and all(list(labels[int(label) - 1]) == own for label, own in row["label_to_tokens"].items())
    )


def _evaluation_list(row: Mapping[str, Any], tokenizer: Any) -> bool:
    names = row["input"]["names"]
    prompt = class_prompt([*names, *row["input"].get("additional", [])])
    return _evaluation(row, tokenizer, prompt, row["input"].get("labels", range(1, len(names) + 1)))


def _evaluation_described(row: Mapping[str, Any], tokenizer: Any) -> bool:
    described = [(each["prefix"], each["name"], each["suffix"]) for each in row["input"]["caption_prompt"]]
    return _evaluation(row, tokenizer, described_prompt(described), range(1, len(described) + 1))


def _evaluation(row: Mapping[str, Any], tokenizer: Any, prompt: Prompt, labels: Sequence[int]) -> bool:
    encoding = tokenizer.encode(prompt.text)
    tokens = tokens_of_labels(encoding, prompt.spans)[: len(labels)]
    spans = [[list(span) for span in own] for own in prompt.spans][: len(labels)]
    return (
        prompt.text == row["query"]
        and _same_tokens(encoding, row["tokenized"])
        and spans == row["char_spans"]
        and {str(label): list(own) for label, own in zip(labels, tokens, strict=True)} == row["label_to_tokens"]
    )


def _evaluation_chunked(row: Mapping[str, Any], tokenizer: Any) -> bool:
    names, ids = row["input"]["names"], row["input"]["category_ids"]
    prompts = chunked_prompts(names, lambda text: len(tokenizer.encode(text).ids), most=row["input"]["chunk"])
    found = []
    for prompt in prompts:
        tokens = tokens_of_labels(tokenizer.encode(prompt.text), prompt.spans)
        found.append({str(ids[label]): list(own) for label, own in zip(prompt.labels, tokens, strict=True)})
    return [prompt.text for prompt in prompts] == row["queries"] and found == row["label_to_tokens"]


def _same_tokens(encoding: Encoding, golden: Mapping[str, Any]) -> bool:
    offsets = [list(span) for span in encoding.offsets]
    return (encoding.tokens, encoding.ids, offsets) == (golden["tokens"], golden["ids"], golden["offsets"])


CHECKS: dict[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "demo_class_list": _demo_list,
    "demo_caption_custom_entities": _demo_entities,
    "demo_caption_noun_phrases": _demo_phrases,
    "demo_class_list_longer_than_256_tokens": _demo_long,
    "evaluation_class_list": _evaluation_list,
    "evaluation_with_additional_labels": _evaluation_list,
    "evaluation_with_caption_prompt": _evaluation_described,
    "evaluation_chunked": _evaluation_chunked,
}
