"""Two questions of the detection tab: what is not in this picture, and what other words do to a word."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.viz import boxes as box_pictures
from core.viz import charts
from demos.detection_kept import Kept, Models, candidates_of, needed, split_words
from demos.detection_show import MOST_BOXES, title
from demos.shell import note
from demos.text import say

BLANK = 128  # grey
MOST_ROWS = 30
MOST_SENTENCES = 8
TEMPERATURE = 0.01  # of ViLD's logits; a test compares it with the network's
OTHERS = ("chair", "tree", "dog")  # of sentences that are filled in


def absent(kept: Kept | None, more: str, least: float, overlap: float, weight: float, language: str) -> tuple[str, str]:
    """Ask for the words and for others on the picture and on a blank one; return the blank one's boxes and a table.

    A word that scores no better here than some word does where nothing is, is not here, as far as scores can tell.
    """
    kept = needed(kept)
    words = tuple(dict.fromkeys((*kept.labels, *(split_words(more)[0] if more.strip(" ,;\n") else ()))))
    blank = np.full_like(kept.picture, BLANK)
    here, nowhere = (candidates_of(each, words, kept, weight) for each in (kept.picture, blank))
    scores, floor = here.best(), nowhere.best()
    boxes = nowhere.boxes(least, overlap, MOST_BOXES)
    shown = box_pictures.stage(
        blank,
        box_pictures.marks_of(boxes, words),
        title(say(language, "dt_blank")),
        name="blank",
        small=True,
    )
    said = say(language, "dt_blank_said", boxes=len(boxes.labels), least=least, words=len(set(boxes.labels)))
    return shown + note(said), _verdicts(kept, words, scores, floor, language)


def moved(kept: Kept | None, word: str, sentences: str, models: Models, language: str) -> str:
    """Put one word into several sentences, and return its logit at one place under GLIP, without fusion, and ViLD."""
    kept = needed(kept)
    word = " ".join(word.split())
    lines = [" ".join(line.split()) for line in sentences.splitlines() if line.strip()][:MOST_SENTENCES]
    if not word or len(lines) < 2:
        raise ValueError("Write a word, and at least two sentences with it, one a line.")
    columns: dict[str, Sequence[float]] = {}
    glip = models.open("glip")
    if hasattr(glip, "word_logits"):  # a relative of GLIP's has none
        columns["dt_fused"] = glip.word_logits(kept.picture, word, lines)
        apart = replace(glip.defaults, exchange=False)
        columns["dt_apart"] = glip.word_logits(kept.picture, word, lines, apart)
    columns["dt_dual"] = dual_logits(models.open("vild"), kept.picture, word, lines)
    headings = [say(language, "dt_sentence_head"), *(say(language, key) for key in columns)]
    rows = [[line, *(f"{column[i]:+.3f}" for column in columns.values())] for i, line in enumerate(lines)]
    spreads = [f"{max(column) - min(column):.3f}" for column in columns.values()]
    table = charts.table(headings, [*rows, [say(language, "dt_spread"), *spreads]])
    return table + note(say(language, "dt_moved_said", word=word))


def dual_logits(model: Any, picture: np.ndarray, word: str, sentences: Sequence[str]) -> list[float]:
    """Return ViLD's logit of the word at the box that fits it best, each sentence's other words asked beside it."""
    look, place, found = model.look(picture), None, []
    for sentence in sentences:
        others = [part for part in sentence.replace(".", " ").split() if part.lower() != word.lower()]
        texts = model.classifier(tuple(dict.fromkeys((word, *others)))).cpu().numpy()
        logits = look.text @ texts[0] / TEMPERATURE
        place = int(logits.argmax()) if place is None else place
        found.append(float(logits[place]))
    return found


def sentences_with(word: str) -> str:
    """Return sentences that hold a word, one a line, to begin with."""
    first, second, *_ = [other for other in OTHERS if other != word.lower()]
    return "\n".join((word, f"a {word} near a {first}", f"a {first}, a {second} and a {word}", f"no {word} here"))


def _verdicts(kept: Kept, words: tuple[str, ...], scores: np.ndarray, floor: np.ndarray, language: str) -> str:
    """Return a table of the words with both scores and what follows, the truth where it is known."""
    order = np.argsort(-scores, kind="stable")
    here = scores > floor.max()
    verdicts = [say(language, "dt_here" if found else "dt_not_here") for found in here]
    headings = [say(language, key) for key in ("dt_word", "dt_best_here", "dt_best_blank", "dt_verdict")]
    rows = [[words[i], f"{scores[i]:.3f}", f"{floor[i]:.3f}", verdicts[i]] for i in order]
    missing = [words[i] for i in range(len(words)) if not here[i]]
    said = say(language, "dt_absent_said", count=len(missing), total=len(words), floor=float(floor.max()))
    if kept.scene is not None:
        true = [any(thing.fits(word) for thing in kept.scene.things) for word in words]
        rows = [
            [*row, say(language, "dt_here" if true[i] else "dt_not_here")] for row, i in zip(rows, order, strict=True)
        ]
        headings.append(say(language, "dt_truth"))
        said += " " + say(language, "dt_absent_right", right=int((here == np.array(true)).sum()), total=len(words))
    return note(said) + charts.table(headings, rows[:MOST_ROWS])
