"""How CLIP fails: a button each, one change each, and a sentence whose numbers were just measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from core import media
from core.prompts import check_templates, parse_labels
from core.viz import charts, overlay
from demos.shell import MODEL, Stopwatch, guarded, load, note
from demos.text import say, t

if TYPE_CHECKING:
    from core.results import Ranking
    from demos.zero_shot_lessons import Inputs

SYSTEM = "clip"
PIXELS = 320
SEED = 41
BALLS = 3
COUNTS = ("one ball", "two balls", "three balls", "four balls")
UNSEEN = ("zebra", "violin")

Failure = tuple[np.ndarray, "Ranking", str]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What stood in the tab when a button was pressed; the picture is None for failures that bring their own."""

    model: Any
    picture: np.ndarray | None
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    word: str
    language: str


def build(inputs: "Inputs") -> None:
    """Add the buttons; each shows the picture it used, the answer, and what was measured."""
    gr.Markdown(t("fail_note"))
    with gr.Row():
        word = gr.Textbox("cat", label=t("word"), scale=1, min_width=140, elem_id="word")
        first, *others = FAILURES
        buttons = {first: gr.Button(t(first), size="sm", min_width=140, elem_classes="low", elem_id=f"fail-{first}")}
    with gr.Row():
        buttons |= {name: gr.Button(t(name), size="sm", min_width=160, elem_id=f"fail-{name}") for name in others}
    said = gr.HTML(elem_id="fail-said")
    with gr.Row():
        with gr.Column(scale=2, min_width=200):
            picture = gr.Image(interactive=False, show_label=False, height=240, elem_id="fail-picture")
        with gr.Column(scale=3, min_width=280):
            bars = gr.HTML(padding=False, elem_id="fail-bars")
    for name, button in buttons.items():
        button.click(
            guarded(_runner(name)), [word, *inputs.all()], [picture, bars, said], api_name=f"fail_{name}", **MODEL
        )


def typographic(asked: Asked) -> Failure:
    """Paint a word on the picture and ask again (Goh et al. 2021, Multimodal Neurons, Distill)."""
    if not asked.word.strip():
        raise ValueError("Write a word to paint.")
    word = asked.word.strip()
    labels = asked.labels if word in asked.labels else (*asked.labels, word)
    painted = overlay.paint_word(asked.picture, word)
    before, after = asked.model.rank_many([asked.picture, painted], labels, templates=asked.templates)
    place = labels.index(word)
    return (
        painted,
        after,
        say(
            asked.language,
            "said_typographic",
            word=word,
            before=before.probabilities()[place],
            after=after.probabilities()[place],
            first=before.best,
            now=after.best,
        ),
    )


def blank(asked: Asked) -> Failure:
    """Show nothing at all."""
    white = np.full((PIXELS, PIXELS, 3), 255, np.uint8)
    ranking = asked.model.rank(white, asked.labels, templates=asked.templates)
    words = say(asked.language, "said_blank", best=ranking.best, share=float(ranking.probabilities().max()))
    return white, ranking, words


def negation(asked: Asked) -> Failure:
    """Ask for the picture with and without what is on it."""
    best = asked.model.rank(asked.picture, asked.labels, templates=asked.templates).best
    ranking = asked.model.rank(asked.picture, (f"a photo with a {best}", f"a photo without a {best}"))
    yes, no = (float(cosine) for cosine in ranking.cosines)
    verdict = say(asked.language, "right" if yes > no else "wrong")
    return (
        asked.picture,
        ranking,
        say(asked.language, "said_negation", yes=yes, no=no, gap=yes - no, verdict=verdict),
    )


def counting(asked: Asked) -> Failure:
    """Ask how many balls a Toybox scene holds."""
    from core.world.captions import shown
    from core.world.picture import picture as toybox

    view = toybox(SEED, PIXELS, count=BALLS, pairs="balls")
    ranking = asked.model.rank(view.rgb, COUNTS, templates=("a photo of {}.",))
    share = float(ranking.probabilities().max())
    return (
        view.rgb,
        ranking,
        say(asked.language, "said_counting", true=len(shown(view)), best=ranking.best, share=share),
    )


def crop(asked: Asked) -> Failure:
    """Put the picture at the edge of a wide canvas, which the centre crop cuts away."""
    wide = overlay.beside(asked.picture)
    before, after = asked.model.rank_many([asked.picture, wide], asked.labels, templates=asked.templates)
    place = before.labels.index(before.best)
    box = asked.model.crop_box(wide)
    words = say(
        asked.language,
        "said_crop",
        label=before.best,
        before=before.probabilities()[place],
        after=after.probabilities()[place],
        seen=(box[2] - box[0]) / wide.shape[1],
    )
    return overlay.frame(wide, box), after, words


def unseen(asked: Asked) -> Failure:
    """Ask for two things that the embedded models' training never named."""
    ranking = asked.model.rank(
        asked.picture, (*UNSEEN, *(label for label in asked.labels if label not in UNSEEN)), templates=asked.templates
    )
    first, second = (float(cosine) for cosine in ranking.cosines[:2])
    key = "said_unseen" if len(asked.model.unseen_words(UNSEEN)) == len(UNSEEN) else "said_unseen_none"
    return asked.picture, ranking, say(asked.language, key, first=UNSEEN[0], second=UNSEEN[1], a=first, b=second)


def sides(asked: Asked) -> Failure:
    """Swap left and right in a true sentence about a Toybox scene."""
    from core.world.captions import noun_phrase, relation, shown
    from core.world.picture import picture as toybox

    for seed in range(SEED, SEED + 100):
        view = toybox(seed, PIXELS, count=2)
        seen = shown(view)
        side = relation(view, *seen) if len(seen) == 2 else None
        if side in ("to the left of", "to the right of"):
            break
    first, second = (noun_phrase(view, index) for index in seen)
    true, swapped = f"{first} {side} {second}", f"{second} {side} {first}"
    ranking = asked.model.rank(view.rgb, (true, swapped))
    yes, no = (float(cosine) for cosine in ranking.cosines)
    verdict = say(asked.language, "right" if yes > no else "wrong")
    return view.rgb, ranking, say(asked.language, "said_sides", true=true, a=yes, b=no, verdict=verdict)


FAILURES: dict[str, Callable[[Asked], Failure]] = {
    "typographic": typographic,
    "blank": blank,
    "negation": negation,
    "counting": counting,
    "sides": sides,
    "crop": crop,
    "unseen": unseen,
}
NEEDS_NO_PICTURE = ("blank", "counting", "sides")


def _runner(name: str) -> Callable[..., tuple[np.ndarray, str, str]]:
    """Return the function behind a button: read the inputs, fail, and show it."""

    def run(
        word: str, source: Any, labels: str, templates: str, weights: str, language: str
    ) -> tuple[np.ndarray, str, str]:
        asked = Asked(
            picture=None if name in NEEDS_NO_PICTURE else media.read_image(source),
            labels=parse_labels(labels),
            templates=check_templates(templates.splitlines()),
            model=load(SYSTEM, weights),
            word=word,
            language=language,
        )
        watch = Stopwatch.start()
        used, ranking, words = FAILURES[name](asked)
        cost = watch.badge(asked.model, language)
        headings = tuple(say(language, key) for key in ("head_label", "head_probability", "head_cosine", "head_logit"))
        return used, charts.bars(ranking, headings=headings, most=6), note(words) + cost

    return run
