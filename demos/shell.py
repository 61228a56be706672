"""What tabs share: the model picker with its paper card, errors as one sentence, the cost of an answer, the look."""

import base64
import functools
import inspect
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from core import registry
from core.results import Cost
from demos.errors import translate
from demos.text import language_of, say, t

LOCAL = "CLIP_FAMILY_LOCAL"  # set by app.py when only this computer can reach the app
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # one model answers at a time
MOST_FIGURES = 4  # of a card, in the picker
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FONTS = ("Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "system-ui", "sans-serif")


def theme() -> gr.themes.Base:
    """Return a look for a lecture hall; only weights 400 and 700, because the others are broken in Gradio's fonts."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        text_size="lg",
        radius_size="sm",
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), *FONTS],
        font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
    )


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a ValueError, which is a sentence for the user, into a warning on the page; what was typed stays.

    The sentence is in the language that the function is called with, if it has an argument of that name.
    """
    signature = inspect.signature(function)

    def complaint(error: ValueError, arguments: tuple[Any, ...], named: dict[str, Any]) -> gr.Error:
        language = signature.bind(*arguments, **named).arguments.get("language", "en")
        return gr.Error(translate(str(error), language), print_exception=False, duration=12)

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except ValueError as error:
            raise complaint(error, arguments, named) from None

    def run_on(*arguments: Any, **named: Any) -> Iterator[Any]:
        try:
            yield from function(*arguments, **named)
        except ValueError as error:
            raise complaint(error, arguments, named) from None

    if not inspect.isgeneratorfunction(inspect.unwrap(function)):
        return run
    # Gradio asks whether this is a generator function; a checker that wraps every `def` on import would hide it.
    return functools.wraps(function)(lambda *arguments, **named: (yield from run_on(*arguments, **named)))


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a tab hands to the page: the picture that follows the user, and how an address fills the tab in."""

    picture: gr.Image | None = None
    open_link: Callable[..., Any] | None = None  # of language and request, to values for `linked`
    linked: tuple[Any, ...] = ()


def connect(demo: gr.Blocks, tabs: gr.Tabs, language: gr.State, built: dict[str, Built]) -> None:
    """Let an address choose tab and content, and an uploaded picture follow its user from tab to tab."""

    def open_tab(request: gr.Request) -> Any:
        asked = request.query_params.get("tab")
        return gr.Tabs(selected=asked) if asked in built else gr.skip()

    demo.load(open_tab, None, tabs, **QUIET)
    for tab in built.values():
        if tab.open_link is not None:
            demo.load(tab.open_link, language, list(tab.linked), **QUIET)
    pictures = [tab.picture for tab in built.values() if tab.picture is not None]
    for picture in pictures:
        others = [other for other in pictures if other is not picture]
        if others:
            picture.upload(functools.partial(_copies, len(others)), picture, others, **QUIET)


def _copies(count: int, path: Any) -> Any:
    """Return a value for each of `count` outputs; one output takes it bare."""
    return path if count == 1 else [path] * count


@dataclass
class Stopwatch:
    """Times one answer and names its cost."""

    started: float

    @classmethod
    def start(cls) -> "Stopwatch":
        """Begin."""
        return cls(time.perf_counter())

    def cost(self, model: Any) -> Cost:
        """Return what the answer cost so far."""
        return Cost(
            milliseconds=1000 * (time.perf_counter() - self.started),
            device=model.device_name,
            model=model.weights,
            licence=model.licence,
        )

    def badge(self, model: Any, language: str) -> str:
        """Return the cost so far as HTML."""
        return badge(self.cost(model), language)


def badge(cost: Cost, language: str) -> str:
    """Return the cost of an answer as HTML."""
    words = say(language, "cost", ms=cost.milliseconds, device=cost.device, model=cost.model, licence=cost.licence)
    return f'<p class="cost">{escape(words)}</p>'


def note(text: str) -> str:
    """Return a sentence as HTML that stands out."""
    return f'<p class="note">{escape(text)}</p>' if text else ""


def may_use_own_weights() -> bool:
    """Say whether users may name weights beyond the list: only where nobody but this computer reaches the app."""
    return os.environ.get(LOCAL) == "1" and "SPACE_ID" not in os.environ


def load(system: str, name: str) -> Any:
    """Return a loaded system; weights that are not listed need permission, downloads are asked for elsewhere."""
    _check_listed(system, name)
    return registry.load(system, name)


def picture_input(elem_id: str, *, height: int) -> gr.Image:
    """Build the picture input; files reach core.media as they are, which says what is wrong with one."""
    picture = gr.Image(
        label=t("picture"),
        type="filepath",
        format="png",  # without loss: a drawn scene is known again by its pixels
        sources=["upload", "webcam", "clipboard"],
        height=height,
        elem_id=elem_id,
    )
    picture.preprocess = _path_of
    return picture


def _path_of(payload: Any) -> Any:
    """Return the path of an uploaded picture, or its bytes where it came inside the request."""
    if payload is None:
        return None
    if payload.url and payload.url.startswith("data:"):
        return base64.b64decode(payload.url.partition(",")[2])
    return payload.path


def model_picker(system: str, language: gr.State) -> gr.Dropdown:
    """Build the picker: what each model costs, its licence, and a button that alone downloads."""
    with gr.Accordion(t("settings"), open=False, elem_id=f"{system}-settings"):
        picker = gr.Dropdown(
            _choices(system),
            value=registry.weights_names(system)[0],
            label=t("weights"),
            allow_custom_value=may_use_own_weights(),
            elem_id=f"{system}-weights",
        )
        about = gr.Markdown(_about(system, picker.value, "en")[0], elem_id=f"{system}-about")
        download = gr.Button(t("download"), visible=False, elem_id=f"{system}-download")
    picker.focus(lambda: gr.update(choices=_choices(system)), None, picker, **QUIET)
    gr.on(
        [picker.change, language.change],
        guarded(functools.partial(_about, system)),
        [picker, language],
        [about, download],
        show_progress="hidden",
        api_visibility="private",
    )
    download.click(
        guarded(functools.partial(_download, system)),
        [picker, language],
        [about, download],
        api_visibility="private",
        concurrency_id="download",
        concurrency_limit=1,
    )
    return picker


def read_language(request: gr.Request) -> str:
    """Return the language of the browser that opened the page."""
    return language_of(request.headers.get("accept-language", "en"))


def _about(system: str, name: str, language: str) -> tuple[str, dict[str, Any]]:
    """Say what the weights cost and can do, and which paper this is; show the download button where they are away."""
    weights, paper = registry.weights_card(system, name), registry.get(system)
    here = weights.available
    lines = [say(language, "is_here" if here else "not_here", about=weights.describe()), weights.note]
    if weights.imagenet_top1:
        lines.append(say(language, "accuracy", value=weights.imagenet_top1))
    if metrics := weights.card().get("metrics"):
        lines.append(_measured(metrics, weights.card()["date"], language))
    lines.append(f"[{paper.paper}]({paper.url}), {paper.venue} {paper.year}")
    lines.append(say(language, "honesty", honesty=paper.honesty, licence=paper.licence))
    return "  \n".join(line for line in lines if line), gr.update(visible=not here)


def _measured(metrics: dict[str, Any], date: str, language: str) -> str:
    """Say what the embedded weights can do: a CLIP's accuracies, or the first figures of another system's card."""
    if "toy_top1" in metrics and "photo_top1" in metrics:
        return say(language, "measured", toy=metrics["toy_top1"], photo=metrics["photo_top1"], date=date)
    figures = [f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float)]
    return say(language, "measured_otherwise", figures=", ".join(figures[:MOST_FIGURES]), date=date)


def _download(
    system: str, name: str, language: str, progress: gr.Progress = gr.Progress()
) -> tuple[str, dict[str, Any]]:
    _check_listed(system, name)
    registry.download(system, name, lambda done, total: progress((done, total), unit="B"))
    return say(language, "downloaded"), gr.update(visible=False)


def _choices(system: str) -> list[tuple[str, str]]:
    """Return the picker's lines as they are now: a training may have finished since the page was built."""
    return [(_at_a_glance(system, name), name) for name in registry.weights_names(system)]


def _at_a_glance(system: str, name: str) -> str:
    """Return one line for the picker: name, size, licence and accuracy."""
    weights = registry.weights_card(system, name)
    facts = [name, f"{(weights.size_bytes or 0) / 1e6:.0f} MB", weights.licence]
    facts += [f"ImageNet {weights.imagenet_top1:.1f} %"] if weights.imagenet_top1 else []
    return " · ".join(facts)


def _check_listed(system: str, name: str) -> None:
    """Refuse weights beyond the list where others than this computer's user reach the app."""
    if name not in registry.weights_names(system) and not may_use_own_weights():
        raise ValueError("Only the listed models can be used here.")


def styles() -> str:
    """Return the style sheet."""
    return (Path(__file__).resolve().parent.parent / "assets" / "style.css").read_text()
