"""What the segmentation tab shows of an answer: pictures, the legend with its numbers, and remarks. No model runs."""

from typing import Any

import gradio as gr
import numpy as np

from core import registry
from core.metrics.segmentation import label_ious
from core.results import LabelMap
from core.viz import segments
from core.viz.depth import marked
from core.viz.segments import LegendRow
from demos.segmentation_kept import SYSTEMS, Kept, box_of
from demos.shell import note
from demos.text import say

MOST_NAMED = 8  # words in a remark
SURE_OF_TWO = 2

Pixel = tuple[int, int]


def pictures(kept: Kept, opacity: float, threshold: float, pixel: Pixel | None, language: str) -> tuple[Any, Any, Any]:
    """Return the answer, plain CLIP's and the truth as pictures; the last two hidden where there is none to show."""
    answer = segments.labelled(kept.picture, kept.label_map(threshold), opacity=opacity)
    if kept.asked.system == "sam" and kept.asked.prompt != "everything":
        answer = _with_prompts(kept, answer)
    elif pixel is not None and inside(kept, pixel):
        answer = marked(answer, *pixel)
    plain = segments.labelled(kept.picture, kept.baseline, opacity=opacity)
    truth = None if kept.truth is None else segments.labelled(kept.picture, kept.truth, opacity=opacity)
    with_plain = kept.asked.system != "plain_clip"
    return answer, gr.update(value=plain, visible=with_plain), gr.update(value=truth, visible=truth is not None)


def inside(kept: Kept, pixel: Pixel) -> bool:
    """Say whether a pixel, clicked at some time, lies in the picture that is kept."""
    height, width = kept.picture.shape[:2]
    return 0 <= pixel[0] < width and 0 <= pixel[1] < height


def legend(kept: Kept, threshold: float, pixel: Pixel | None, language: str) -> str:
    """Return the words with their colours, shares of the picture, IoU with the truth, and scores at a pixel."""
    answer = kept.label_map(threshold)
    shown = pixel is not None and inside(kept, pixel)
    scores = kept.scores_at(*pixel) if shown else None
    ious = {} if kept.truth is None else label_ious(answer, kept.truth)
    rows = [
        LegendRow(
            index=index,
            label=word,
            share=float(answer.mask(index).mean()),
            iou=ious.get(word),
            score=None if scores is None else float(scores[index]),
        )
        for index, word in enumerate(kept.asked.words)
    ]
    nothing = float((answer.ids < 0).mean())
    rows += [LegendRow(index=-1, label=say(language, "sg_nothing"), share=nothing)] if nothing else []
    at = say(language, "sg_at", x=pixel[0], y=pixel[1]) if shown else ""
    return segments.legend(rows, (say(language, "sg_word"), say(language, "sg_share"), "IoU", at))


def said(kept: Kept, threshold: float, pixel: Pixel | None, language: str) -> str:
    """Say how good the answer is where the truth is known, and what else there is to know about it."""
    sentences = [_grade(kept, threshold, language), _about_clicks(kept, pixel, language), _about_words(kept, language)]
    return note(" ".join(text for text in sentences if text))


def mean_iou(found: LabelMap, truth: LabelMap) -> float:
    """Return the mean IoU of the words that the truth or the answer holds; NaN where neither holds one."""
    ious = list(label_ious(found, truth).values())
    return float(np.mean(ious)) if ious else float("nan")


def few(words: tuple[str, ...]) -> str:
    """Return words with commas between, the first ones only where there are many."""
    return ", ".join(words[:MOST_NAMED]) + (f" … (+{len(words) - MOST_NAMED})" if len(words) > MOST_NAMED else "")


def _grade(kept: Kept, threshold: float, language: str) -> str:
    if kept.truth is None or kept.answer is None:
        return ""
    mine = mean_iou(kept.label_map(threshold), kept.truth)
    if kept.asked.system == "plain_clip":
        return say(language, "sg_grade_alone", mine=mine)
    return say(language, "sg_grade", mine=mine, plain=mean_iou(kept.baseline, kept.truth))


def _about_clicks(kept: Kept, pixel: Pixel | None, language: str) -> str:
    """Say what SAM waits for, or what its grid of clicks found."""
    if kept.asked.system != "sam":
        return ""
    if kept.answer is None:
        wanted = {"points": "sg_click_point", "box": "sg_click_corner" if kept.asked.clicks else "sg_click_box"}
        return say(language, wanted[kept.asked.prompt])
    if kept.asked.prompt != "everything":
        return ""
    count, named = len(kept.answer.masks), int((kept.answer.winners()[0] >= 0).sum())
    found = say(language, "sg_masks", count=count, named=named)
    if pixel is None or not inside(kept, pixel) or kept.scores_at(*pixel) is not None:
        return found
    return " ".join([found, say(language, "sg_no_mask", x=pixel[0], y=pixel[1])])


def _about_words(kept: Kept, language: str) -> str:
    remarks = []
    if len(kept.asked.words) == 1 and not kept.asked.rest:
        remarks.append(say(language, "sg_one_word"))
    if kept.missing:
        remarks.append(say(language, "sg_missing", words=few(kept.missing)))
    if kept.twice:
        remarks.append(say(language, "sg_twice", words=few(kept.twice)))
    if kept.unseen:
        remarks.append(say(language, "unseen_words", words=few(kept.unseen)))
    return " ".join(remarks)


def _with_prompts(kept: Kept, picture: np.ndarray) -> np.ndarray:
    clicks = kept.asked.clicks
    if kept.answer is not None:  # the mask is seen even where no word wins it
        picture = segments.edged(picture, kept.answer.masks.masks[0])
    if kept.asked.prompt == "points":
        return segments.prompted(picture, clicks)
    if len(clicks) >= SURE_OF_TWO:
        return segments.prompted(picture, (), box_of(clicks))
    return segments.prompted(picture, clicks)


def names_of_systems() -> list[tuple[str, str]]:
    """Return what a list of systems shows, and their names."""
    return [(registry.get(system).title, system) for system in SYSTEMS]
