"""How an answer of the segmentation tab came about: vectors, blocks, groups, masks; and two systems side by side."""

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from core import registry
from core.metrics.segmentation import label_ious
from core.results import LabelMap
from core.viz import charts, segments
from core.viz.overlay import enlarged
from demos.segmentation_kept import (
    LOOKS,
    MODES,
    NO_BLOCKS,
    Asked,
    Kept,
    answer_of,
    name_masks,
    needed,
    only,
    prompted_masks,
)
from demos.segmentation_show import Pixel, few, inside, mean_iou
from demos.shell import note
from demos.text import say

MOST_COLUMNS = 8  # words in a table of groups
MOST_MAPS = 6  # words whose maps are shown
CROP_PIXELS = 160  # a small crop is enlarged to about this
OPAQUE = 0.75
OPACITY = 0.65
COLUMNS, ROW_PIXELS = 3, 190  # of the pictures

Shown = list[tuple[np.ndarray, str]]


def look_inside(kept: Kept | None, pixel: Pixel | None, language: str) -> tuple[Any, Any, str]:
    """Return pictures of what happened inside the system that answered, a figure for GroupViT, and the numbers."""
    kept = needed(kept)
    at = pixel if pixel is not None and inside(kept, pixel) else _middle(kept)
    found = {"lseg": _lseg, "groupvit": _groupvit, "sam": _sam, "plain_clip": _plain}[kept.asked.system]
    pictures, figure, said = found(kept, at, language)
    height = ROW_PIXELS * min(2, -(-len(pictures) // COLUMNS))
    return gr.update(value=pictures, height=height), gr.update(value=figure, visible=figure is not None), said


def side_by_side(
    kept: Kept | None, first: str, second: str, language: str
) -> tuple[tuple[np.ndarray, np.ndarray], str, str]:
    """Return the answers of two systems about the picture and words on show, and a table of both."""
    kept = needed(kept)
    found = {system: _alone(kept, system) for system in (first, second)}
    maps = [found[system] for system in (first, second)]
    pair = tuple(segments.labelled(kept.picture, each, opacity=OPACITY) for each in maps)
    titles = [registry.get(system).title for system in (first, second)]
    table = charts.table(
        [say(language, "sg_word"), *(f"{title}: {head}" for title in titles for head in _columns(kept, language))],
        [[word, *(cell for each in maps for cell in _cells(kept, each, i))] for i, word in _largest(kept, maps)],
    )
    if kept.truth is None:
        return pair, table, note(say(language, "sg_no_truth"))
    values = [mean_iou(each, kept.truth) for each in maps]
    said = say(language, "sg_duel", first=titles[0], a=values[0], second=titles[1], b=values[1])
    return pair, table, note(said)


def _alone(kept: Kept, system: str) -> LabelMap:
    """Return what a system answers by itself: SAM with a grid of clicks, unless the answer on show is SAM's own."""
    if system == kept.asked.system and kept.answer is not None:
        return kept.label_map()
    answer, least = answer_of(kept.picture, replace(kept.asked, system=system, prompt="everything"))
    return only(answer.label_map(least), kept.asked.words)


def _columns(kept: Kept, language: str) -> list[str]:
    return [say(language, "sg_share")] + ([] if kept.truth is None else ["IoU"])


def _cells(kept: Kept, found: LabelMap, index: int) -> list[str]:
    cells = [f"{found.mask(index).mean():.1%}"]
    if kept.truth is None:
        return cells
    iou = label_ious(found, kept.truth).get(kept.asked.words[index])
    return [*cells, "–" if iou is None else f"{iou:.2f}"]


def _largest(kept: Kept, maps: list[LabelMap]) -> list[tuple[int, str]]:
    """Return the words, those with the most pixels in any of the maps first, few enough for a table."""
    every = maps if kept.truth is None else [*maps, kept.truth]
    most = [max(float(each.mask(i).mean()) for each in every) for i in range(len(kept.asked.words))]
    order = sorted(range(len(most)), key=lambda i: -most[i])
    return [(i, kept.asked.words[i]) for i in order[: segments.MOST_ROWS]]


def _middle(kept: Kept) -> Pixel:
    height, width = kept.picture.shape[:2]
    return width // 2, height // 2


def _by_share(kept: Kept) -> list[int]:
    """Return the words' indices, the one with the most pixels first."""
    found = kept.label_map()
    return sorted(range(len(kept.asked.words)), key=lambda i: -int(found.mask(i).sum()))


def _lseg(kept: Kept, at: Pixel, language: str) -> tuple[Shown, None, str]:
    """Show the vectors as colours, the best word's logits before and after blocks, labels by each number of them."""
    model, words = kept.asked.models.open("lseg"), kept.asked.words
    after = kept.answer
    before = replace(after, logits=after.before, before=None)
    best = _by_share(kept)[0]
    maps = [each.word_map(best) for each in (before, after)]
    settings = replace(model.defaults, **LOOKS[kept.asked.look])
    colors = segments.places(model.feature_colors(kept.picture, settings), after.size_hw)
    pictures = [(colors, say(language, "sg_pca"))]
    for key, values in zip(("sg_before", "sg_after"), maps, strict=True):
        caption = say(language, key, word=words[best], low=values.min(), high=values.max())
        pictures.append((segments.scores(values), caption))
    plain = before.label_map().ids
    for name, blocks in sorted(model.regularisers.items(), key=lambda item: (item[0] != NO_BLOCKS, item[0])):
        again = model.segment(kept.picture, after.words, replace(settings, regulariser=blocks)).label_map()
        caption = say(language, "sg_blocks", name=name, share=float((again.ids != plain).mean()))
        pictures.append((segments.labelled(kept.picture, only(again, words), opacity=OPACITY), caption))
    logits = [each.logits_at(*at) for each in (before, after)]
    headings = [say(language, key) for key in ("sg_word", "sg_logit_before", "sg_logit_after")]
    order = np.argsort(-logits[1])[: segments.MOST_ROWS]
    rows = [[after.words[i], f"{logits[0][i]:+.2f}", f"{logits[1][i]:+.2f}"] for i in order]
    said = note(say(language, "sg_at_pixel", x=at[0], y=at[1]))
    return pictures, None, said + charts.table(headings, rows)


def _groupvit(kept: Kept, at: Pixel, language: str) -> tuple[Shown, Any, str]:
    """Show the groups of both stages, the best word's score, and how alike each group and each word are."""
    answer, words = kept.answer, kept.asked.words
    stages = [answer.groups.stage(number) for number in (1, 2)]
    used = [len(np.unique(stage.ids)) for stage in stages]
    best = _by_share(kept)[0]
    pictures = [
        (
            segments.labelled(kept.picture, stage, opacity=OPAQUE),
            say(language, "sg_stage", stage=number, used=count, groups=len(stage.labels)),
        )
        for number, stage, count in zip((1, 2), stages, used, strict=True)
    ]
    pictures.append((segments.scores(answer.word_map(best), 0, 1), say(language, "sg_score_of", word=words[best])))
    columns = np.argsort(-answer.picture_cosines, kind="stable")[:MOST_COLUMNS]
    shares = [float((stages[1].ids == group).mean()) for group in range(len(answer.cosines))]
    names = [say(language, "sg_group", number=i + 1, share=share) for i, share in enumerate(shares)]
    title = say(language, "sg_similarity")
    figure = charts.label_figure(answer.cosines[:, columns], [words[i] for i in columns], names, title=title)
    kept_words = tuple(word for word, stays in zip(words, answer.kept, strict=True) if stays)
    mine = int(stages[1].ids[at[1], at[0]]) + 1
    said = say(language, "sg_kept_words", words=few(kept_words), used=used[1], groups=len(stages[1].labels))
    return pictures, figure, note(said) + note(say(language, "sg_pixel_group", x=at[0], y=at[1], group=mine))


def _plain(kept: Kept, at: Pixel, language: str) -> tuple[Shown, None, str]:
    """Show the logit of the words that have the most pixels, all on one scale."""
    order = _by_share(kept)[:MOST_MAPS]
    maps = {i: kept.answer.word_map(i) for i in order}
    low, high = min(float(each.min()) for each in maps.values()), max(float(each.max()) for each in maps.values())
    rows, columns = kept.answer.logits.shape[1:]
    pictures = [(segments.scores(values, low, high), kept.asked.words[i]) for i, values in maps.items()]
    return pictures, None, note(say(language, "sg_plain", rows=rows, columns=columns))


def _sam(kept: Kept, at: Pixel, language: str) -> tuple[Shown, None, str]:
    """Show the three masks with what SAM expects of each, and the best one as each mode shows it to CLIP."""
    model, asked = kept.asked.models.open("sam"), kept.asked
    if asked.prompt == "everything" or kept.answer is None:
        clicks, prompt = ((*at, 1),), "points"
    else:
        clicks, prompt = asked.clicks, asked.prompt
    three = prompted_masks(model, kept.picture, prompt, clicks, three=True)
    pictures = [
        (
            segments.prompted(segments.outlined(kept.picture, mask), clicks if prompt == "points" else ()),
            say(language, "sg_mask", number=i + 1, iou=iou, stability=stability, share=float(mask.mean())),
        )
        for i, (mask, iou, stability) in enumerate(zip(three.masks, three.predicted_iou, three.stability, strict=True))
    ]
    full = [i for i, mask in enumerate(three.masks) if mask.any()]
    if not full:
        return pictures, None, note(say(language, "sg_empty"))
    one = three.chosen(full[:1])
    rows = []
    for mode in MODES:
        shown, cells = _named(kept, model, one, mode, asked)
        pictures += [(enlarged(crop, CROP_PIXELS), f"{mode} · {cells[0]} {cells[1]}") for crop in shown]
        rows.append([mode, *cells])
    headings = [say(language, key) for key in ("sg_mode", "sg_word", "head_probability", "sg_second")]
    where = say(language, "sg_asked_at", x=clicks[0][0], y=clicks[0][1])
    return pictures, None, note(where) + charts.table(headings, rows)


def _named(kept: Kept, model: Any, mask: Any, mode: str, asked: Asked) -> tuple[list[np.ndarray], list[str]]:
    """Return what CLIP is shown of a mask in a mode, and the best word, its probability, and the next one."""
    ranking = name_masks(model, kept.picture, mask, asked, mode).rankings[0]
    settings = replace(model.default_region, mode=mode)
    crops = model.shown_to_clip(kept.picture, mask, asked.models.open_namer(), settings=settings)
    order, shares = ranking.order(), ranking.probabilities()
    best = [ranking.labels[order[0]], f"{shares[order[0]]:.0%}"]
    second = f"{ranking.labels[order[1]]} {shares[order[1]]:.0%}" if len(order) > 1 else "–"
    return crops, [*best, second]
