"""What the action tab shows of an answer: bars, the film strip, sentences, tables."""

from html import escape

import numpy as np

from core.results import Film, Ranking
from core.viz import charts
from core.viz.film import film_strip
from demos.action_kept import ORDERS, Kept, frame_shares, ranking_of, scores_of
from demos.shell import load, note
from demos.text import say

MOST_BARS = 6
STRIP_HEIGHT = 84


def bars(ranking: Ranking, language: str) -> str:
    """Return a ranking as bars with the rule that made the probabilities."""
    headings = tuple(say(language, key) for key in ("head_label", "head_probability", "head_cosine", "head_logit"))
    rule = say(language, "rule_softmax", count=len(ranking.labels))
    reading = say(language, "reading", scale=ranking.logit_scale, bias="", temperature=1.0, rule=rule)
    return f'{charts.bars(ranking, headings=headings, most=MOST_BARS)}<p class="cost">{escape(reading)}</p>'


def strip(kept: Kept, ranking: Ranking) -> np.ndarray:
    """Return the frames in the order that was asked about, under each how probable the best label is for it alone."""
    places = kept.places
    film = Film(frames=kept.film.frames[places], seconds=kept.film.seconds)
    return film_strip(film, frame_shares(kept, int(ranking.order()[0])), height=STRIP_HEIGHT)


def said(kept: Kept, ranking: Ranking, language: str) -> str:
    """Say what is true of a Toybox clip, what the other direction gives, and what the numbers alone would not tell."""
    model = load("actionclip", kept.weights)
    sentences = [say(language, "act_best", best=ranking.best, head=kept.head)]
    if kept.expected is not None:
        right = "act_right" if kept.expected == ranking.best else "act_wrong"
        sentences.append(say(language, right, truth=kept.expected))
    if kept.order in ORDERS[:2]:
        other = ORDERS[1] if kept.order == ORDERS[0] else ORDERS[0]
        turned = ranking_of(kept, order=other)
        sentences.append(say(language, "act_other", best=turned.best))
    if unseen := model.unseen_words(kept.labels):
        sentences.append(say(language, "unseen_words", words=", ".join(unseen[:10])))
    if long := model.too_long(kept.labels, templates=model.templates[kept.templates]):
        sentences.append(say(language, "act_cut", labels=", ".join(long[:5])))
    return "".join(map(note, sentences))


def heads_table(kept: Kept, language: str) -> str:
    """Return each head's best label forwards and backwards, with its probability."""
    model = load("actionclip", kept.weights)
    rows = []
    for head in model.heads:
        cells = []
        for order in ORDERS[:2]:
            ranking = ranking_of(kept, head=head, order=order)
            cells.append(f"{ranking.best} {float(ranking.probabilities().max()):.0%}")
        rows.append((head, *cells, "=" if cells[0] == cells[1] else "≠"))
    head = tuple(say(language, key) for key in ("act_head", "act_forwards", "act_reversed", "act_same"))
    return charts.table(head, rows)


def templates_table(kept: Kept, language: str) -> str:
    """Return each template's best label with its probability."""
    scores = scores_of(kept)
    rows = [
        (template, ranking.best, f"{float(ranking.probabilities().max()):.1%}")
        for template, ranking in zip(scores.templates, scores.by_template(), strict=True)
    ]
    return charts.table(tuple(say(language, key) for key in ("act_templates", "head_label", "head_probability")), rows)


def frames_table(kept: Kept, language: str) -> str:
    """Return each frame's own best label: what can be named without any order."""
    model = load("actionclip", kept.weights)
    templates = model.templates[kept.templates]
    rankings = model.frame_rankings(kept.features.ordered(kept.places), kept.labels, templates=templates)
    rows = [
        (str(index + 1), ranking.best, f"{float(ranking.probabilities().max()):.1%}")
        for index, ranking in enumerate(rankings)
    ]
    return charts.table(tuple(say(language, key) for key in ("act_frame", "head_label", "head_probability")), rows)
