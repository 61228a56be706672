"""ViLD against tensorflow/tpu: both heads, scores, losses, boxes and detections, crops, prompts."""

import json
import re
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.backbones.clip import Preprocess
from core.backbones.regions import cut
from core.detection.answer import Candidates
from core.detection.proposals import clip_boxes, decode, encode, from_released, to_released
from core.detection.vild_crops import BLACK, CONTEXT_SCALE, added, enlarged, whole_pixels
from core.detection.vild_head import Branch, HeadSize, VildHead, word_logits
from core.detection.vild_losses import class_loss, distillation_loss, valid_regions
from core.detection.vild_prompts import ONE, PAPER, article, plain, processed, sentences
from core.detection.vild_scores import ensemble, image_probabilities, text_probabilities
from tests.parity.compare import Case, Line, compare

SWAPPED = [1, 0, 3, 2]  # y, x, h, w and x, y, w, h
PADDING_SCORE = -1.0


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        return _prompts(case)
    inputs = case.part("in")
    for name, found in (
        ("roi_features", _head),
        ("region_embeddings", _scores),
        ("rois_yxyx", _detections),
        ("class_targets", _losses),
        ("image_rgb", _crops),
    ):
        if name in inputs:
            return compare(case, found(case, inputs))
    raise ValueError(f"wanted a known case, got {case.name}")


def _head(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Run a head in evaluation and in training, where the last regions of each picture carry stored embeddings."""
    config, weights = case.config, {key.split("/", 2)[2]: value for key, value in case.part("weights").items()}
    head, texts = _loaded_head(config, weights)
    features = inputs["roi_features"]  # (B, n, h, w, C)
    batch, count = features.shape[:2]
    distilled = config["max_distill_rois"]
    flat = features.permute(0, 1, 4, 2, 3)
    temperature = 1 / config["temperature"]

    def shaped(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (batch, -1))

    found = {}
    with torch.no_grad():
        head.eval()
        output = head(flat.flatten(0, 1))
        found |= {
            "infer.class_outputs": shaped(word_logits(output.text, texts, head.background, temperature)),
            "infer.box_outputs": shaped(output.codes[:, SWAPPED]),
            "infer.projected": shaped(output.text),
            "infer.distill_projected": shaped(output.image),
            "infer.distill_feat_outputs": shaped(F.normalize(output.image, dim=-1)),
            "infer.distill_class_outputs": shaped(word_logits(output.image, texts, temperature=temperature)),
        }
        head.train()
        output = head(flat[:, : count - distilled].flatten(0, 1), flat[:, count - distilled :].flatten(0, 1))
        text, image = shaped(output.text), shaped(output.image)
        found |= {
            "train.class_outputs": shaped(word_logits(output.text, texts, head.background, temperature)),
            "train.box_outputs": shaped(output.codes[:, SWAPPED]),
            "train.distill_feat_outputs": F.normalize(image, dim=-1),
            "train.projected": torch.cat([text, image], 1) if head.image is None else text,
            "train.distill_projected": image,
        }
    return found


def _loaded_head(config: Mapping, weights: Mapping[str, Tensor]) -> tuple[VildHead, Tensor]:
    """Return the case's head and its words' embeddings, from TensorFlow's layout."""
    size = HeadSize(
        channels=config["C"],
        grid=config["hw"],
        convs=config["num_convs"],
        filters=config["num_filters"],
        fcs=config["num_fcs"],
        fc_width=config["fc_dims"],
        embed_dim=config["clip_dim"],
    )
    separate = config["visual_feature_distill"] == "double_branch"
    head = VildHead(size, separate=separate)
    for module in head.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.eps = config["batch_norm"]["epsilon"]
    norms = sorted(
        {key.rpartition("/")[0] for key in weights if key.startswith("batch_normalization")},
        key=lambda name: int(re.sub(r"\D", "", name) or 0),
    )
    with torch.no_grad():
        _load_branch(head.text, weights, "", size, norms)
        if head.image is not None:
            _load_branch(head.image, weights, "distill_", size, norms[size.convs + size.fcs :])
        head.background.copy_(weights["background-class-predict/kernel"][:, 0])
        head.box.weight.copy_(weights["box-predict/kernel"].T[SWAPPED])
        head.box.bias.copy_(weights["box-predict/bias"][SWAPPED])
    return head, weights["class-predict/kernel"].T


def _load_branch(branch: Branch, weights: Mapping[str, Tensor], prefix: str, size: HeadSize, norms: list[str]) -> None:
    for number, conv in enumerate(branch.convs):
        conv.weight.copy_(weights[f"{prefix}conv_{number}/kernel"].permute(3, 2, 0, 1))
        conv.bias.copy_(weights[f"{prefix}conv_{number}/bias"])
    for number, linear in enumerate(branch.fcs):
        kernel = weights[f"{prefix}fc{6 + number}/kernel"]
        if number == 0:  # flattened with the channels last there
            kernel = kernel.unflatten(0, (size.grid, size.grid, -1)).permute(2, 0, 1, 3).flatten(0, 2)
        linear.weight.copy_(kernel.T)
        linear.bias.copy_(weights[f"{prefix}fc{6 + number}/bias"])
    project = f"{prefix.replace('_', '-')}project-to-clip"
    branch.project.weight.copy_(weights[f"{project}/kernel"].T)
    branch.project.bias.copy_(weights[f"{project}/bias"])
    for norm, name in zip([*branch.conv_norms, *branch.fc_norms], norms, strict=False):
        norm.weight.copy_(weights[f"{name}/gamma"])
        norm.bias.copy_(weights[f"{name}/beta"])
        norm.running_mean.copy_(weights[f"{name}/moving_mean"])
        norm.running_var.copy_(weights[f"{name}/moving_variance"])


def _scores(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    embeddings, texts, background = (
        inputs[name] for name in ("region_embeddings", "text_embeddings", "background_vector")
    )
    logits = word_logits(embeddings.flatten(0, 1), texts, background, 1 / case.config["temperature"])
    logits = logits.unflatten(0, embeddings.shape[:2])
    return {
        "logits": logits,
        "probabilities": image_probabilities(logits),
        "class_probabilities_background_dropped": text_probabilities(logits),
        "class_probabilities_background_discarded_before_softmax": text_probabilities(logits, discard_background=True),
    }


def _detections(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    base = inputs["rare_mask_with_background"][1:] > 0
    boxes = []
    for codes, rois, size in zip(
        inputs["box_outputs"], inputs["rois_yxyx"], inputs["image_shape"].flatten(1), strict=True
    ):
        decoded = decode(codes[:, SWAPPED], from_released(rois))
        boxes.append(to_released(clip_boxes(decoded, tuple(size.tolist()))))
    boxes = torch.stack(boxes)
    image = image_probabilities(inputs["distill_class_outputs"])
    found = {}
    for kept, discard in (("keep_bg", False), ("discard_bg", True)):
        text = text_probabilities(inputs["class_outputs"], discard_background=discard)
        for kind in ("none", "vanilla", "double_branch"):
            scores = ensemble(text, image, base) if kind == "double_branch" else text
            found |= {f"{kind}.{kept}.raw_boxes": boxes[:, :, None], f"{kind}.{kept}.raw_scores": scores}
            found |= {f"{kind}.{kept}.{name}": each for name, each in _kept(case, boxes, scores).items()}
    return found


def _kept(case: Case, boxes: Tensor, scores: Tensor) -> dict[str, Tensor]:
    """Return what the project's own selection keeps of each picture, padded as released."""
    config, rows = case.config, []
    most, words = config["max_total_size"], [str(number) for number in range(1, scores.shape[2] + 1)]
    for picture, table in zip(boxes, scores, strict=True):
        best = table.topk(min(config["pre_nms"], len(table)), 0).indices
        cut_off = torch.full_like(table, -1).scatter(0, best, table.gather(0, best))
        candidates = Candidates(
            labels=tuple(words),
            boxes_xyxy=picture[:, SWAPPED].numpy(),
            scores=cut_off.numpy(),
            size_hw=(1, 1),
        )
        shown = candidates.boxes(max(config["score_threshold"], 1e-30), config["nms_iou"], most)
        rows.append((shown.boxes_xyxy[:, SWAPPED], np.array(shown.labels, np.int32), shown.scores))
    padded = [
        [np.concatenate([part, np.full((most - len(part), *part.shape[1:]), fill, part.dtype)]) for part, fill in each]
        for each in (zip(row, (0, 0, PADDING_SCORE), strict=True) for row in rows)
    ]
    names = ("detection_boxes", "detection_classes", "detection_scores")
    return {
        "num_detections": torch.tensor([len(row[0]) for row in rows]),
        **{name: torch.from_numpy(np.stack(each)) for name, each in zip(names, zip(*padded, strict=True), strict=True)},
    }


def _losses(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found, masked = {}, None
    for name, kept in (("masked_rare", inputs["rare_mask_with_background"]), ("unmasked", None)):
        logits = inputs["class_outputs"].clone().requires_grad_()
        loss = class_loss(logits, inputs["class_targets"], kept)
        loss.backward()
        found |= {f"class_loss.{name}": loss, f"class_loss.{name}.grad": logits.grad}
        masked = loss if kept is not None else masked
    valid = valid_regions(inputs["roi_boxes"])
    found["valid_roi_ratio"] = valid.float().mean()
    for name, normalise in (("normalised_targets", True), ("raw_targets", False)):
        predicted = inputs["distill_feat_outputs"].clone().requires_grad_()
        loss = distillation_loss(predicted, inputs["gt_visual_feat"], valid, normalise_stored=normalise)
        loss.backward()
        found |= {
            f"distill.{name}.loss": loss,
            f"distill.{name}.grad": predicted.grad,
            f"distill.{name}.total_with_class_loss": masked + case.config["distill_weight"] * loss,
        }
    return found


def _crops(case: Case, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    height, width = inputs["image_hw"].tolist()
    picture, released = inputs["image_rgb"].numpy(), inputs["boxes_yxyx"]
    boxes, xyxy = from_released(released), released[:, SWAPPED].numpy()
    decoded = decode(inputs["codes"][:, SWAPPED], boxes)
    larger = enlarged(xyxy)
    outer = torch.from_numpy(larger)[:, SWAPPED]
    found = {
        f"outer_yxyx_scale{CONTEXT_SCALE:g}": to_released(clip_boxes(from_released(outer), (height, width))),
        "encoded": encode(from_released(inputs["gt_yxyx"]), boxes)[:, SWAPPED],
        "decoded": to_released(decoded),
        "decoded_clipped": to_released(clip_boxes(decoded, (height, width))),
        "enlarged_1.5_xyxy_unclipped": torch.from_numpy(larger),
        "teacher_embedding": added(torch.stack([inputs["embedding_1x"], inputs["embedding_1.5x"]])),
    }
    preprocess = Preprocess(size=case.config["n_px"])
    for scale, around in (("1x", xyxy), ("1.5x", larger)):
        for kind, clip_hw in (("as_executed", None), ("clipped", (height, width))):
            windows = whole_pixels(around, clip_hw)
            shown = [preprocess(cut(picture, window, BLACK)) for window in windows]
            found |= {f"int_box_{scale}_{kind}": torch.tensor(windows), f"crop_{scale}_{kind}": torch.stack(shown)}
    return found


def _prompts(case: Case) -> list[Line]:
    """Compare every sentence, letter by letter."""
    golden = json.loads((case.folder / case.file).read_text())
    lines = [_same(case, "templates", golden["templates"], list(PAPER))]
    for each in golden["names"]:
        name = each["name"]
        found = {
            "article": article(name),
            "processed_name": processed(name),
            "single_template": plain(ONE[0], name),
            "prompts": list(sentences(name)),
            "prompts_without_this_is": list(sentences(name, prefix=False)),
        }
        for what, got in found.items():
            want = each.get(what)
            if isinstance(want, str) and isinstance(got, list):  # 'as in prompts, without the prefix'
                want = [
                    given if given.startswith(("There", "itap")) else given.removeprefix("This is ")
                    for given in each["prompts"]
                ]
            lines.append(_same(case, f"{name}: {what}", want, got))
    return lines


def _same(case: Case, name: str, want: object, got: object) -> Line:
    return Line(f"{case.name}: {name}", 0.0 if want == got else 1.0, want == got)
