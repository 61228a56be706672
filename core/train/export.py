"""What a run leaves for others: a folder that open_clip opens, and a model card with the measured figures."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.model import CLIP
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from torch import Tensor, nn

from core.backbones.clip import OPENAI_MEAN, OPENAI_STD
from core.backbones.clip_model import BPE_TOKENS, HEAD_WIDTH, CompactEmbedding, size_of
from core.backbones.learnt_classes import taken_out
from core.checkpoints import CONFIG_FILE, WEIGHTS_FILE
from core.train.status import replace_file

HUB_LICENCES = ("apache-2.0", "mit")  # names that the Hub knows; any other is spelled out


def open_clip_folder(model: CLIP, folder: Path) -> None:
    """Write a CLIP so that `open_clip.create_model_and_transforms("local-dir:FOLDER")` opens it.

    A compact token table is written out in full: tokens that training never saw get the row they share. One with learnt
    classes, which open_clip does not have, gets its configuration alone, beside the run's own file.
    """
    tensors = {key: value.detach().cpu() for key, value in taken_out(model.state_dict())[0].items()}
    table = model.token_embedding
    if isinstance(table, CompactEmbedding):
        tensors["token_embedding.weight"] = table.weight.detach().cpu()[table.rows.cpu()]
        del tensors["token_embedding.token_ids"]
    text = json.dumps(open_clip_config(tensors, quick_gelu=uses_quick_gelu(model)), indent=1) + "\n"
    beside = folder.parent / CONFIG_FILE  # the run's own file does not tell its activation
    replace_file(beside, lambda part: part.write_text(text))
    if hasattr(model, "classes"):
        return
    halves = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    folder.mkdir(exist_ok=True)
    replace_file(
        folder / WEIGHTS_FILE, lambda part: save_file({key: value.contiguous() for key, value in halves.items()}, part)
    )
    replace_file(folder / CONFIG_FILE, lambda part: part.write_text(text))


def open_clip_config(tensors: Mapping[str, Tensor], *, quick_gelu: bool) -> dict[str, Any]:
    """Return open_clip's configuration of a CLIP with these tensors and a full token table."""
    size = size_of(tensors)
    layers = size.vision_layers if isinstance(size.vision_layers, int) else list(size.vision_layers)
    return {
        "model_cfg": {
            "embed_dim": size.embed_dim,
            "quick_gelu": quick_gelu,
            "vision_cfg": {
                "image_size": size.image_size,
                "layers": layers,
                "width": size.vision_width,
                "head_width": HEAD_WIDTH,
                "patch_size": size.patch_size,
            },
            "text_cfg": {
                "context_length": size.context_length,
                "vocab_size": BPE_TOKENS,
                "width": size.text_width,
                "heads": max(1, size.text_width // HEAD_WIDTH),
                "layers": size.text_layers,
            },
        },
        "preprocess_cfg": {"mean": list(OPENAI_MEAN), "std": list(OPENAI_STD), "interpolation": "bicubic"},
    }


def uses_quick_gelu(model: nn.Module) -> bool:
    """Say whether a CLIP has OpenAI's activation."""
    return any(isinstance(module, QuickGELU) for module in model.modules())


def model_card(weights: Path) -> Path:
    """Write README.md beside a run's weights from their card, and return its path."""
    card = json.loads(weights.with_suffix(".json").read_text())
    path = weights.with_name("README.md")
    text = _page(card, opens=(weights.parent / "open_clip").is_dir())
    replace_file(path, lambda part: part.write_text(text, "utf-8"))
    return path


def _licence(name: str) -> list[str]:
    """Return the lines of the page's head that the Hub reads a licence from."""
    if name.lower() in HUB_LICENCES:
        return [f"license: {name.lower()}"]
    return ["license: other", f"license_name: {json.dumps(name)}"]


def _page(card: Mapping[str, Any], *, opens: bool) -> str:
    name = card["name"]
    measured = [line for line in card["curve"] if _figures(line)]
    rows = [
        f"| {line['step']} | {line['samples']} | {', '.join(f'{k} {v:.3f}' for k, v in _figures(line).items())} |"
        for line in (measured if len(measured) <= 12 else [*measured[:: math.ceil(len(measured) / 11)], measured[-1]])
    ]
    lines = [
        "---",
        *_licence(card["licence"]),
        *(["library_name: open_clip", "pipeline_tag: zero-shot-image-classification"] if opens else []),
        "---",
        f"# {name}",
        "",
        f"{card['parameters']:,} parameters, trained on {card['samples']:,} samples in {card['minutes']} minutes "
        f"({card['threads']} threads, {card['date']}) by:",
        "",
        f"    {card['command']}" if card["command"] else "    a run without a command line",
        "",
        "## Figures measured while it learnt",
        "",
        "| step | samples | on pictures that nobody trained on |",
        "| --- | --- | --- |",
        *rows,
        "",
        *_exported(card),
        *_data(card),
        "## Recipe",
        "",
        *(f"- {key}: {value}" for key, value in card["recipe"].items()),
        "",
        "## Use",
        "",
        f"`{name}.safetensors` opens in the tabs of this project, by its run's name or as a file.",
        *(["", f"It is {card['use']}."] if "use" in card else []),
    ]
    if opens:
        lines += ["", "    import open_clip", '    open_clip.create_model_and_transforms("local-dir:open_clip")']
    return "\n".join(lines) + "\n"


def _figures(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the measured figures of a line of the log."""
    own = ("step", "samples", "seconds", "loss", "learning_rate", "progress", "eta")
    return {key: value for key, value in line.items() if key not in own and isinstance(value, (int, float))}


def _exported(card: Mapping[str, Any]) -> list[str]:
    """Say what the weights in the file reach, where they are not those that were trained last, and mixtures beside."""
    if "exported" not in card:
        return []
    rows = [
        f"| {share} | {', '.join(f'{k} {v:.3f}' for k, v in figures.items())} |"
        for share, figures in card["wise_ft"].items()
    ]
    return [
        "## Figures of this file",
        "",
        ", ".join(f"{name} {value:.3f}" for name, value in card["exported"].items()) + "; before: "
        f"{', '.join(f'{name} {value:.3f}' for name, value in card['before'].items())}.",
        "",
        "| share of the tuned weights | figures |",
        "| --- | --- |",
        *rows,
        "",
    ]


def _data(card: Mapping[str, Any]) -> list[str]:
    """Say what was read and what could not be."""
    data = card.get("data")
    if not data:
        return []
    lines = ["## Data", "", f"{data['read']} pictures were read from {data['source']}."]
    if data["skipped"]:
        lines += [f"{data['skipped']} could not be used:", "", *(f"- {reason}" for reason in data["reasons"])]
    return [*lines, ""]
