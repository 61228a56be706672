"""CLIP against openai/CLIP: towers layer by layer, ensembles, the loss and its gradients, preprocessing, the BPE."""

import functools
import json
from collections.abc import Mapping

import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn.functional import normalize

from core.backbones.clip import Preprocess
from core.backbones.clip_model import encode_text, from_tensors
from core.backbones.tokenizer import clip_tokenizer, count_tokens
from core.train.losses import contrastive_loss, pair_losses
from core.zero_shot.clip import ensemble
from tests.parity.compare import Case, Line, compare

NOTEBOOK_SCALE = 100.0  # openai/CLIP, notebooks/Prompt_Engineering_for_ImageNet.ipynb uses it instead of logit_scale


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        return _tokenizer(case)
    inputs = case.part("in")
    if "prompt_tokens" in inputs:
        return compare(case, _zero_shot(case, inputs))
    if "image_0" in inputs:
        return compare(case, _preprocessing(case, inputs))
    if any(name.startswith("grad") for name in case.part("out")):
        return compare(case, _contrastive(case, inputs))
    return compare(case, _towers(case, inputs))


def _model(case: Case) -> CLIP:
    """Return the case's model; a case without weights names the case that has them ('same as case vit')."""
    weights = case.part("weights")
    if not weights:
        owner = str(case.config["model"]).split()[-1]
        weights = Case(owner, case.folder, {}, {}, f"{owner}.safetensors").part("weights")
    return from_tensors(weights)


def _towers(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    model = _model(case)
    found: dict[str, Tensor] = {}
    for name, module in _watched(model).items():
        module.register_forward_hook(functools.partial(_keep, found, name))
    with torch.inference_mode():
        images = model.encode_image(inputs["image"])
        model.encode_text(inputs["text"])  # all positions, for the intermediates
        texts = encode_text(model, inputs["text"])  # only those up to the last end-of-text token
    if "visual.ln_post" in found:
        found["visual.ln_post"] = found["visual.ln_post"][:, 0]  # the official code normalises the class token alone
    logits = model.logit_scale.exp() * normalize(images, dim=-1) @ normalize(texts, dim=-1).T
    return found | {
        "image_features": images,
        "text_features": texts,
        "logits_per_image": logits,
        "logits_per_text": logits.T,
    }


def _watched(model: CLIP) -> dict[str, torch.nn.Module]:
    """Return the modules whose outputs the goldens hold, by the goldens' names."""
    visual = model.visual
    watched = {"text.ln_final": model.ln_final}
    towers = {"text": model.transformer}
    if hasattr(visual, "layer1"):
        watched |= {"visual.stem": visual.avgpool}
        watched |= {f"visual.layer{i}": getattr(visual, f"layer{i}") for i in (1, 2, 3, 4)}
    else:
        watched |= {
            "visual.patch_embed": visual.conv1,
            "visual.ln_pre": visual.ln_pre,
            "visual.ln_post": visual.ln_post,
        }
        towers["visual"] = visual.transformer
    for tower, transformer in towers.items():
        for i, block in enumerate(transformer.resblocks):
            name = f"{tower}.block{i}"
            watched |= {name: block, f"{name}.attn": block.attn, f"{name}.mlp": block.mlp}
    return watched


def _keep(found: dict[str, Tensor], name: str, module: torch.nn.Module, inputs: object, out: object) -> None:
    """Note the first output of a module; the trimmed run comes second and is not wanted here."""
    found.setdefault(name, out[0] if isinstance(out, tuple) else out)


def _zero_shot(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    model = _model(case)
    with torch.inference_mode():
        tokens = inputs["prompt_tokens"]
        prompts = encode_text(model, tokens.flatten(0, 1)).reshape(*tokens.shape[:2], -1)
        classifier = ensemble(prompts)
        features = normalize(model.encode_image(inputs["image"]), dim=-1)
    logits = NOTEBOOK_SCALE * features @ classifier.T
    return {
        "prompt_embeddings": prompts,
        "zeroshot_weights": classifier.T,
        "image_features_normalised": features,
        "logits": logits,
        "probabilities": logits.softmax(-1),
        "top1": logits.argmax(-1),
    }


def _contrastive(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    model = _model(case)
    images, texts = model.encode_image(inputs["image"]), encode_text(model, inputs["text"])
    scale = model.logit_scale.exp()
    contrastive_loss(images, texts, scale).backward()
    found = {f"grad.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    found |= {f"gradnorm.{name.removeprefix('grad.')}": gradient.norm() for name, gradient in found.items()}
    logits = (scale * normalize(images, dim=-1) @ normalize(texts, dim=-1).T).detach().requires_grad_()
    rows, columns = pair_losses(logits, torch.eye(len(logits)))
    loss = (rows + columns) / 2
    (by_logits,) = torch.autograd.grad(loss, logits)
    right = (logits.argmax(1) == torch.arange(len(logits))).float().mean()
    return found | {
        "logits_per_image": logits,
        "loss": loss,
        "loss_rows_images": rows,
        "loss_columns_texts": columns,
        "grad.logits_per_image": by_logits,
        "accuracy_i2t": right,
    }


def _preprocessing(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    size = next(iter(case.part("out").values())).shape[-1]
    return {f"pre_{name.split('_')[-1]}": Preprocess(size=size)(image.numpy()) for name, image in inputs.items()}


def _tokenizer(case: Case) -> list[Line]:
    golden = json.loads((case.folder / case.file).read_text())
    length = golden["context_length"]
    tokenizer = clip_tokenizer(length)
    lines = []
    for row in golden["rows"]:
        text, whole = row["text"], row[f"tokenize_{length}"]
        cut = row[f"tokenize_{length}_truncate"]
        good = (
            tokenizer.encode(text) == row["ids_without_special"]
            and (count_tokens(tokenizer, text) > length) == row["tokenize_raises"]
            and tokenizer([text])[0].tolist() == (whole if isinstance(cut, str) else cut)
            and tokenizer.decode(row["ids_without_special"]) == row["decode_of_ids"]
        )
        lines.append(Line(f"{case.name}: {text[:30]!r}", 0.0 if good else float("inf"), good))
    return lines
