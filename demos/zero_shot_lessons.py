"""The lessons of the zero-shot tab: prompts, pairs, where it looked, how it fails, many pictures, the code."""

import csv
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import media
from core.prompts import TEMPLATES, check_templates, parse_labels
from core.viz import charts, overlay
from demos import zero_shot_failures as failures
from demos.errors import translate
from demos.examples import TEMPLATE_SET
from demos.shell import MODEL, QUIET, Stopwatch, guarded, load, note
from demos.text import say, t

SYSTEM = "clip"
TOYBOX_PIXELS = 224
MOST_MAPS = 4  # labels whose heat maps are shown
MOST_PAIRS = 12
MOST_PICTURES = 2000
MAP_PIXELS = 512  # pictures are shrunk to this for heat maps: the network sees fewer
NONE = "picture"  # the prompt for 'none of these': a word that says nothing


@dataclass(frozen=True)
class Inputs:
    """The components that every lesson reads."""

    picture: gr.Image
    labels: gr.Textbox
    templates: gr.Textbox
    weights: gr.Dropdown
    language: gr.State
    none: gr.Checkbox

    def all(self) -> list[Any]:
        """Return what every lesson needs, in the order of its arguments."""
        return [self.picture, self.labels, self.templates, self.weights, self.language]


@dataclass(frozen=True)
class Outputs:
    """The components of the answer."""

    answer: gr.State
    bars: gr.HTML
    said: gr.HTML
    cost: gr.HTML


def build(inputs: Inputs, outputs: Outputs) -> None:
    """Add a tab for each lesson."""
    with gr.Tab(t("look_inside"), id="look"):
        _build_look(inputs)
    with gr.Tab(t("prompt_lab"), id="prompt-lab"):
        _build_prompts(inputs)
    with gr.Tab(t("matrix"), id="matrix"):
        _build_matrix(inputs)
    with gr.Tab(t("fail"), id="fail"):
        failures.build(inputs)
    with gr.Tab(t("many"), id="many"):
        _build_many(inputs)
    with gr.Tab(t("as_python"), id="code"):
        gr.Markdown(t("code_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, elem_id="python")
        refresh = gr.Button(t("explain"), size="sm", elem_id="code-button")
    asked = [inputs.labels, inputs.templates, inputs.weights, inputs.none, inputs.language]
    gr.on([refresh.click, outputs.answer.change], guarded(as_python), asked, code, **QUIET)


def heat_maps(
    source: Any, labels: str, templates: str, weights: str, language: str
) -> tuple[list[tuple[np.ndarray, str]], str]:
    """Return what the network sees, twice, then the gradient and occlusion maps of the best labels; and the cost."""
    picture = _shrunk(media.read_image(source))
    model = load(SYSTEM, weights)
    watch = Stopwatch.start()
    kept = check_templates(templates.splitlines())
    ranking = model.rank(picture, parse_labels(labels), templates=kept)
    best = [ranking.labels[int(i)] for i in ranking.order()[:MOST_MAPS]]
    shown = [
        (overlay.frame(picture, model.crop_box(picture)), say(language, "sees")),
        (overlay.enlarged(model.crop_seen(picture), MAP_PIXELS), say(language, "sees_at")),
    ]
    maps = {
        method: model.heat_maps(picture, best, templates=kept, method=method) for method in ("gradient", "occlusion")
    }
    for index, label in enumerate(best):
        shown += [(overlay.heat(picture, maps[method][index]), f"{label}: {say(language, method)}") for method in maps]
    return shown, watch.badge(model, language)


def each_prompt(source: Any, labels: str, templates: str, weights: str, language: str) -> tuple[Any, str]:
    """Return the cosine of each template filled with each label, as a figure; and the cost."""
    picture, asked = media.read_image(source), parse_labels(labels)
    kept = check_templates(templates.splitlines())
    model = load(SYSTEM, weights)
    watch = Stopwatch.start()
    cosines = model.prompt_cosines(picture, asked, kept)
    cost = watch.badge(model, language)
    figure = charts.label_figure(cosines.T, asked, kept, title=say(language, "prompt_title"))
    return gr.update(value=figure, visible=True), cost


def each_set(source: Any, labels: str, templates: str, weights: str, language: str) -> tuple[Any, str]:
    """Return the probability of each label under each set of templates, the user's too, as a figure; and the cost."""
    picture, asked = media.read_image(source), parse_labels(labels)
    sets = TEMPLATES | {say(language, "own_set"): check_templates(templates.splitlines())}
    model = load(SYSTEM, weights)
    watch = Stopwatch.start()
    shares = np.stack([model.rank(picture, asked, templates=kept).probabilities() for kept in sets.values()])
    cost = watch.badge(model, language)
    names = [f"{name} ({len(kept)})" for name, kept in sets.items()]
    figure = charts.label_figure(shares, asked, names, title=say(language, "set_title"), percent=True)
    return gr.update(value=figure, visible=True), cost


def compare_all(files: list[str] | None, captions: str, count: float, weights: str, language: str) -> tuple[Any, str]:
    """Return the matrix of pictures against captions, and the loss of that batch in words."""
    pictures, texts = _own_pairs(files, captions) if files else _toybox_pairs(int(count))
    model = load(SYSTEM, weights)
    watch = Stopwatch.start()
    matrix = model.pair_matrix(pictures, texts)
    cost = watch.badge(model, language)
    figure = charts.pair_figure(matrix, pictures, title=say(language, "matrix_title"))
    if matrix.loss is None:
        words = say(language, "matrix_unequal", count=len(pictures), captions=len(texts))
    else:
        right = int((matrix.cosines.argmax(1) == np.arange(len(pictures))).sum())
        chance = float(np.log(len(pictures)))
        words = say(language, "matrix_loss", loss=matrix.loss, chance=chance, right=right, count=len(pictures))
    return gr.update(value=figure, visible=True), note(words) + cost


def classify_many(
    files: list[str] | None,
    labels: str,
    templates: str,
    weights: str,
    language: str,
    progress: gr.Progress = gr.Progress(),
) -> tuple[list[list[Any]], str, str]:
    """Return a table with the best label for each picture, a CSV file with every score, and how long it took."""
    asked, kept = parse_labels(labels), check_templates(templates.splitlines())
    model = load(SYSTEM, weights)
    watch, started = Stopwatch.start(), time.perf_counter()
    failed: list[tuple[str, str]] = []
    names: list[str] = []

    def read() -> Iterator[np.ndarray]:
        for name, source in progress.tqdm(_picture_files(files), unit="pictures"):
            try:
                picture = source()
            except ValueError as error:
                failed.append((name, translate(str(error), language)))
            else:
                names.append(name)
                yield picture

    rows: list[list[Any]] = []
    scores: list[list[Any]] = []
    for ranking in model.rank_stream(read(), asked, templates=kept):
        name, shares, first = names[len(rows)], ranking.probabilities(), int(ranking.order()[0])
        rows.append([name, ranking.best, f"{shares[first]:.1%}", f"{ranking.cosines[first]:+.3f}"])
        scores += [
            [name, label, float(c), float(p)] for label, c, p in zip(asked, ranking.cosines, shares, strict=True)
        ]
    seconds = time.perf_counter() - started
    rows += [[name, reason, "", ""] for name, reason in failed]
    words = say(
        language,
        "said_many",
        done=len(rows) - len(failed),
        seconds=seconds,
        rate=(len(rows) - len(failed)) / seconds,
        failed=len(failed),
    )
    return rows, _write_csv(scores), note(words) + watch.badge(model, language)


def asked_labels(labels: str, none: bool) -> tuple[str, ...]:
    """Return what is asked of the model: the labels that were typed, and the empty word where it was ticked."""
    typed = parse_labels(labels)
    return (*typed, NONE) if none else typed


def as_python(labels: str, templates: str, weights: str, none: bool, language: str = "en") -> str:
    """Return the lines of Python that give the same numbers as the tab; `language` is that of its complaints."""
    return (
        "from core import media, registry\n\n"
        f"model = registry.load({SYSTEM!r}, {weights!r})\n"
        'picture = media.read_image("picture.jpg")  # your file\n'
        f"ranking = model.rank(\n    picture,\n    {asked_labels(labels, none)!r},\n"
        f"    templates={check_templates(templates.splitlines())!r},\n)\n"
        "for i in ranking.order():\n"
        '    print(f"{ranking.probabilities()[i]:7.2%}  {ranking.cosines[i]:+.3f}  {ranking.labels[i]}")\n'
    )


def _build_look(inputs: Inputs) -> None:
    gr.Markdown(t("look_note"))
    button = gr.Button(t("explain"), variant="primary", elem_id="look-button")
    maps = gr.Gallery(columns=2, object_fit="contain", height=560, show_label=False, elem_id="maps")
    cost = gr.HTML(padding=False)
    button.click(guarded(heat_maps), inputs.all(), [maps, cost], api_name="heat_maps", **MODEL)


def _build_prompts(inputs: Inputs) -> None:
    chosen = gr.Dropdown(list(TEMPLATES), value=TEMPLATE_SET, label=t("fill_from"), elem_id="template-set")
    inputs.templates.render()
    with gr.Row():
        sets = gr.Button(t("each_set"), variant="primary", min_width=160, elem_id="sets-button")
        button = gr.Button(t("each_prompt"), min_width=160, elem_id="prompts-button")
    figure = gr.Plot(visible=False, show_label=False, elem_id="prompt-figure")
    shown = [figure, gr.HTML(padding=False)]
    chosen.change(lambda name: "\n".join(TEMPLATES[name]), chosen, inputs.templates, **QUIET)
    button.click(guarded(each_prompt), inputs.all(), shown, api_name="prompt_scores", **MODEL)
    sets.click(guarded(each_set), inputs.all(), shown, api_name="prompt_sets", **MODEL)


def _build_matrix(inputs: Inputs) -> None:
    with gr.Row():
        count = gr.Slider(2, MOST_PAIRS, value=6, step=1, label=t("matrix_count"), elem_id="pairs")
        button = gr.Button(t("matrix_run"), variant="primary", elem_id="matrix-button")
    said = gr.HTML(elem_id="matrix-said")
    figure = gr.Plot(visible=False, show_label=False, elem_id="matrix-figure")
    with gr.Accordion(t("matrix_files"), open=False):
        files = gr.File(file_count="multiple", file_types=["image"], show_label=False, elem_id="matrix-files")
        captions = gr.Textbox("", label=t("matrix_captions"), lines=4, elem_id="matrix-captions")
    button.click(
        guarded(compare_all),
        [files, captions, count, inputs.weights, inputs.language],
        [figure, said],
        api_name="pair_matrix",
        **MODEL,
    )


def _build_many(inputs: Inputs) -> None:
    files = gr.File(file_count="multiple", label=t("files"), height=140, elem_id="many-files")
    with gr.Row():
        folder = gr.UploadButton(t("folder"), file_count="directory", min_width=160, elem_id="many-folder")
        button = gr.Button(t("run_many"), variant="primary", min_width=160, elem_id="many-button")
    folder.upload(lambda paths: paths, folder, files, **QUIET)
    said = gr.HTML(elem_id="many-said")
    table = gr.Dataframe(
        headers=["file", "label", "probability", "cosine"], label=t("table"), wrap=True, elem_id="many-table"
    )
    download = gr.DownloadButton(t("csv"), elem_id="many-csv")
    asked = [files, inputs.labels, inputs.templates, inputs.weights, inputs.language]
    button.click(guarded(classify_many), asked, [table, download, said], api_name="classify_many", **MODEL)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture of at most MAP_PIXELS on its longer side."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((MAP_PIXELS, MAP_PIXELS))
    return np.asarray(image)


def _toybox_pairs(count: int) -> tuple[list[np.ndarray], list[str]]:
    """Return Toybox pictures of different things with a true sentence each."""
    from core.world.captions import noun_phrase, shown
    from core.world.picture import picture

    pairs: dict[str, np.ndarray] = {}
    seed = 100
    while len(pairs) < count:
        view = picture(seed, TOYBOX_PIXELS, count=1)
        pairs.setdefault(f"a photo of {noun_phrase(view, shown(view)[0])}", view.rgb)
        seed += 1
    return list(pairs.values()), list(pairs)


def _own_pairs(files: list[str], captions: str) -> tuple[list[np.ndarray], list[str]]:
    if len(files) > MOST_PAIRS:
        raise ValueError(f"Give at most {MOST_PAIRS} pictures here; these are {len(files)}.")
    texts = [line.strip() for line in captions.splitlines() if line.strip()]
    return [media.read_image(file) for file in files], texts or [Path(file).stem.replace("_", " ") for file in files]


def _picture_files(files: list[str] | None) -> list[tuple[str, Callable[[], np.ndarray]]]:
    """Return a name and a function that reads it for each uploaded picture, those within zips too."""
    if not files:
        raise ValueError("Upload pictures or a zip of them first.")
    found: list[tuple[str, Callable[[], np.ndarray]]] = []
    for file in files:
        if file.lower().endswith(".zip"):
            found += [(name, partial(_member, file, name)) for name in media.picture_names(file)]
        else:
            found.append((Path(file).name, partial(media.read_image, file)))
    if len(found) > MOST_PICTURES:
        raise ValueError(
            f"Give at most {MOST_PICTURES} pictures here; these are {len(found)}. The command line takes more."
        )
    return found


def _member(archive: str, name: str) -> np.ndarray:
    return next(media.read_named(archive, [name]))[1]


def _write_csv(scores: list[list[Any]]) -> str:
    with tempfile.NamedTemporaryFile(
        "w", suffix=".csv", prefix="zero-shot-", newline="", encoding="utf-8", delete=False
    ) as file:
        table = csv.writer(file)
        table.writerow(("file", "label", "cosine", "probability"))
        table.writerows(scores)
    return file.name
