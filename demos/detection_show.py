"""What the detection tab shows of an answer: boxes to hover over, the truth, numbers, remarks. No model runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from core import registry
from core.results import Boxes, LabelMap
from core.viz import boxes as box_pictures
from core.viz import segments
from core.viz.segments import LegendRow
from demos.detection_kept import CROPS, OVERLAP, SYSTEMS, WEIGHT, Kept, Masked
from demos.segmentation_show import few
from demos.shell import note
from demos.text import say

MOST_OWN = 12  # words that have a threshold of their own
MOST_BOXES = 100
LEAST_COUNTED = 0.01  # average precision counts every box from this score
HALF = 0.5  # intersection over union from which a box is right
MASK_OPACITY = 0.5
ONLY_WORDS = ("ensemble", "image")  # ViLD's heads that compare words with one another and with no background


@dataclass(frozen=True, kw_only=True)
class Look:
    """Which boxes of an answer are shown."""

    least: float = 0.3
    overlap: float = OVERLAP
    weight: float = WEIGHT  # of ViLD's text head
    own: tuple[float, ...] = ()  # thresholds of the first words; the others have `least`

    def limits(self, count: int) -> list[float]:
        """Return a threshold for each of so many words."""
        own = list(self.own[:count])
        return own + [self.least] * (count - len(own))


def shown_boxes(kept: Kept, look: Look) -> Boxes:
    """Return the boxes on show."""
    return kept.found(look.weight).boxes(look.limits(len(kept.labels)), look.overlap, MOST_BOXES)


def own_sliders(labels: Sequence[str], least: float) -> list[dict[str, Any]]:
    """Return what the sliders of single words become: the first words have one each."""
    names = [label if len(label) <= 18 else label[:17] + "…" for label in labels[:MOST_OWN]]
    shown = [gr.update(label=name, value=least, visible=True) for name in names]
    return shown + [gr.update(visible=False)] * (MOST_OWN - len(shown))


def answer(kept: Kept, look: Look, masked: Masked | None) -> str:
    """Return the picture with the boxes on show, under the words or the sentence to hover over."""
    boxes = shown_boxes(kept, look)
    counts = [boxes.labels.count(label) for label in kept.labels]
    if kept.spans:
        words = box_pictures.sentence(kept.asked.text.strip(), kept.spans, counts)
    else:
        words = box_pictures.word_list(kept.labels, counts)
    marks = box_pictures.marks_of(boxes, kept.labels)
    return box_pictures.stage(with_masks(kept, boxes, masked), marks, words, name="answer")


def truth(kept: Kept, language: str) -> dict[str, Any]:
    """Return the true boxes of the labels, hidden where they are not known."""
    if kept.truth is None:
        return gr.update(value="", visible=False)
    marks = box_pictures.marks_of(kept.truth, kept.labels, scores=False)
    shown = box_pictures.stage(kept.picture, marks, title(say(language, "dt_truth")), name="truth", small=True)
    return gr.update(value=shown, visible=True)


def title(text: str) -> str:
    """Return a line over a small picture, as HTML."""
    return f'<p class="words">{escape(text)}</p>'


def with_masks(kept: Kept, boxes: Boxes, masked: Masked | None) -> np.ndarray:
    """Lay the masks of the boxes on show over the picture, the surest box on top."""
    if masked is None:
        return kept.picture
    places, masks = masked.of(boxes)
    ids = np.full(kept.picture.shape[:2], -1, np.int32)
    for place, mask in reversed(list(zip(places, masks, strict=True))):
        ids[mask] = kept.labels.index(boxes.labels[place])
    return segments.labelled(kept.picture, LabelMap(ids=ids, labels=kept.labels), opacity=MASK_OPACITY)


def legend(kept: Kept, look: Look, language: str) -> str:
    """Return each label's best score and, beside a Toybox scene, its average precision."""
    best, of_label = kept.found(look.weight).best(), precisions(kept, look).get("ap50_by_label", {})
    rows = [
        LegendRow(index=index, label=label, share=float(best[index]), iou=of_label.get(label))
        for index, label in enumerate(kept.labels)
    ]
    headings = (say(language, "dt_word"), say(language, "dt_best"), say(language, "dt_ap50"), "")
    return segments.legend(rows, headings)


def said(kept: Kept, look: Look, language: str) -> str:
    """Say how good the answer is where the truth is known, and what else there is to know about it."""
    boxes = shown_boxes(kept, look)
    sentences = [_grade(kept, look, boxes, language), _kind(kept, language), _about_words(kept, boxes, look, language)]
    return "".join(note(text) for text in sentences if text)


def precisions(kept: Kept, look: Look) -> dict[str, Any]:
    """Return the average precision in this one picture, every score counted; nothing where the truth is not known."""
    from core.metrics.detection import average_precision

    if kept.truth is None or not kept.truth.labels:
        return {}
    every = kept.found(look.weight).boxes(LEAST_COUNTED, look.overlap, MOST_BOXES)
    return average_precision([every], [kept.truth], tuple(dict.fromkeys(kept.truth.labels)))


def matched(boxes: Boxes, true: Boxes) -> int:
    """Return how many true boxes a box of the same label covers by half, each box used once, the surest first."""
    free = list(range(len(true.labels)))
    for box, label in zip(boxes.boxes_xyxy, boxes.labels, strict=True):
        fits = [(iou(box, true.boxes_xyxy[place]), place) for place in free if true.labels[place] == label]
        best = max(fits, default=(0.0, -1))
        if best[0] >= HALF:
            free.remove(best[1])
    return len(true.labels) - len(free)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two boxes."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    both = float(np.prod(np.maximum(sides, 0)))
    either = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - both
    return both / either if either > 0 else 0.0


def names_of_systems() -> list[tuple[str, str]]:
    """Return what a list of systems shows, and their names."""
    return [(registry.get(name).title, name) for name in SYSTEMS]


def _grade(kept: Kept, look: Look, boxes: Boxes, language: str) -> str:
    found = precisions(kept, look)
    if kept.truth is None:
        return ""
    if not found:
        return say(language, "dt_none_there")
    right = matched(boxes, kept.truth)
    return say(
        language,
        "dt_grade",
        ap=found["ap"],
        ap50=found["ap50"],
        right=right,
        true=len(kept.truth.labels),
        more=len(boxes.labels) - right,
    )


def _kind(kept: Kept, language: str) -> str:
    """Say what kind of answer this is: a relative's, the baseline's, or a whole sentence's from one vector."""
    remarks = []
    if kept.relative:
        remarks.append(say(language, "dt_relative", title=kept.relative))
    if kept.path == CROPS or kept.head == CROPS:
        remarks.append(say(language, "dt_baseline"))
    if kept.asked.mode == "sentence" and not kept.spans:
        remarks.append(say(language, "dt_one_vector", title=registry.get(kept.asked.system).title))
    return " ".join(remarks)


def _about_words(kept: Kept, boxes: Boxes, look: Look, language: str) -> str:
    remarks = []
    best = kept.found(look.weight).best()
    if not boxes.labels:
        likeliest = int(best.argmax())
        remarks.append(say(language, "dt_no_box", word=kept.labels[likeliest], score=float(best[likeliest])))
    if kept.head in ONLY_WORDS and len(kept.labels) == 1:
        remarks.append(say(language, "dt_alone"))
    if kept.missing:
        remarks.append(say(language, "dt_missing", words=few(kept.missing)))
    if kept.twice:
        remarks.append(say(language, "dt_twice", words=few(kept.twice)))
    if kept.unseen:
        remarks.append(say(language, "unseen_words", words=few(kept.unseen)))
    if len(kept.labels) > MOST_OWN:
        remarks.append(say(language, "dt_first_words", count=MOST_OWN))
    return " ".join(remarks)
