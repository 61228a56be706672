"""How CLIP fails: a button each, one change each, and a sentence whose numbers were just measured."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from core import media
from core.prompts import check_templates, parse_labels
from core.viz import charts, overlay
from demos.shell import MODEL, guarded, load, note
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


def build(inputs: "Inputs") -> None:
    """Add the buttons; each shows the picture it used, the answer, and what was measured."""
    gr.Markdown(t("fail_note"))
    with gr.Row():
        word = gr.Textbox("cat", label=t("word"), scale=1, min_width=120, elem_id="word")
        buttons = {name: gr.Button(t(name), size="sm", min_width=120, elem_id=f"fail-{name}") for name in FAILURES}
    said = gr.HTML(elem_id="fail-said")
    with gr.Row():
        picture = gr.Image(interactive=False, show_label=False, height=260, elem_id="fail-picture")
        bars = gr.HTML(elem_id="fail-bars")
    for name, button in buttons.items():
        button.click(
            guarded(_runner(name)), [word, *inputs.all()], [picture, bars, said], api_name=f"fail_{name}", **MODEL
        )


def typographic(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Paint a word on the picture and ask again (Goh et al. 2021, Multimodal Neurons, Distill)."""
    if not word.strip():
        raise ValueError("Write a word to paint.")
    asked = labels if word in labels else (*labels, word.strip())
    painted = overlay.paint_word(picture, word.strip())
    before, after = model.rank_many([picture, painted], asked, templates=templates)
    place = asked.index(word.strip())
    return (
        painted,
        after,
        say(
            language,
            "said_typographic",
            word=word.strip(),
            before=before.probabilities()[place],
            after=after.probabilities()[place],
            first=before.best,
            now=after.best,
        ),
    )


def blank(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Show nothing at all."""
    white = np.full((PIXELS, PIXELS, 3), 255, np.uint8)
    ranking = model.rank(white, labels, templates=templates)
    words = say(language, "said_blank", best=ranking.best, share=float(ranking.probabilities().max()))
    return white, ranking, words


def negation(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Ask for the picture with and without what is on it."""
    best = model.rank(picture, labels, templates=templates).best
    ranking = model.rank(picture, (f"a photo with a {best}", f"a photo without a {best}"))
    yes, no = (float(cosine) for cosine in ranking.cosines)
    return picture, ranking, say(language, "said_negation", yes=yes, no=no, gap=abs(yes - no))


def counting(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Ask how many balls a Toybox scene holds."""
    from core.world.captions import shown
    from core.world.picture import picture as toybox

    view = toybox(SEED, PIXELS, count=BALLS, pairs="balls")
    ranking = model.rank(view.rgb, COUNTS, templates=("a photo of {}.",))
    share = float(ranking.probabilities().max())
    return view.rgb, ranking, say(language, "said_counting", true=len(shown(view)), best=ranking.best, share=share)


def crop(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Put the picture at the edge of a wide canvas, which the centre crop cuts away."""
    wide = overlay.beside(picture)
    before, after = model.rank_many([picture, wide], labels, templates=templates)
    place = before.labels.index(before.best)
    box = model.crop_box(wide)
    words = say(
        language,
        "said_crop",
        label=before.best,
        before=before.probabilities()[place],
        after=after.probabilities()[place],
        seen=(box[2] - box[0]) / wide.shape[1],
    )
    return overlay.frame(wide, box), after, words


def unseen(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
    """Ask for two things that the embedded models' training never named."""
    ranking = model.rank(picture, (*UNSEEN, *(label for label in labels if label not in UNSEEN)), templates=templates)
    first, second = (float(cosine) for cosine in ranking.cosines[:2])
    key = "said_unseen" if len(model.unseen_words(UNSEEN)) == len(UNSEEN) else "said_unseen_none"
    return picture, ranking, say(language, key, first=UNSEEN[0], second=UNSEEN[1], a=first, b=second)


def sides(
    model: Any, picture: np.ndarray, labels: tuple[str, ...], templates: tuple[str, ...], word: str, language: str
) -> Failure:
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
    ranking = model.rank(view.rgb, (true, swapped))
    yes, no = (float(cosine) for cosine in ranking.cosines)
    verdict = say(language, "right" if yes > no else "wrong")
    return view.rgb, ranking, say(language, "said_sides", true=true, a=yes, b=no, verdict=verdict)


FAILURES: dict[str, Callable[..., Failure]] = {
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
        picture = None if name in NEEDS_NO_PICTURE else media.read_image(source)
        asked, kept = parse_labels(labels), check_templates(templates.splitlines())
        used, ranking, words = FAILURES[name](load(SYSTEM, weights), picture, asked, kept, word, language)
        headings = tuple(say(language, key) for key in ("head_label", "head_probability", "head_cosine", "head_logit"))
        return used, charts.bars(ranking, headings=headings, most=6), note(words)

    return run
