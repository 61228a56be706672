"""The sketch to take home: SVG, one that draws itself, PNG, GIF and WebM."""

import tempfile
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from core.results import Film
from core.viz import strokes as drawing
from demos import sketch_show
from demos.shell import guarded
from demos.sketch_drawing import Sitting, needed
from demos.text import t

PNG_PIXELS, FILM_PIXELS = 896, 448
FILM_SECONDS = 6.0


def build(sitting: gr.State, language: gr.State) -> None:
    """Add the button that writes the files, and the files."""
    gr.Markdown(t("sk_files_note"))
    files_of("sketch", sitting, language)


def files_of(name: str, sitting: gr.State, language: gr.State) -> None:
    """Add a button and the files that it writes of a sitting's sketch."""
    write = gr.Button(t("sk_write"), variant="primary", elem_id=f"{name}-write")
    files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id=f"{name}-downloads")
    write.click(guarded(write_files), [sitting, language], files, api_visibility="private")


def needed_at_rest(sitting: Sitting | None) -> Sitting:
    """Return a sitting that draws no more; ValueError where it does, or where nothing was drawn."""
    if needed(sitting).busy:
        raise ValueError("It is still being drawn: press Stop first, or wait.")
    return sitting


def write_files(sitting: Sitting | None, language: str) -> list[str]:
    """Write the sketch on show, with the pen on show, and return the paths."""
    from core.media_video import write_webm

    sitting = needed_at_rest(sitting)
    strokes, order = sitting.strokes(sketch_show.best_cell(sitting)), sketch_show.order_of(sitting)
    folder = Path(tempfile.mkdtemp(prefix="sketch-"))
    names = ("sketch.svg", "sketch-draws-itself.svg", "sketch.png", "sketch.gif", "sketch.webm")
    plain, moving, png, gif, webm = (folder / name for name in names)
    plain.write_text(drawing.svg(strokes), encoding="utf-8")
    moving.write_text(drawing.replay_svg(strokes, order, seconds=FILM_SECONDS), encoding="utf-8")
    Image.fromarray(drawing.paint(strokes, PNG_PIXELS)).save(png)
    frames = list(drawing.film(strokes, order, pixels=FILM_PIXELS))
    gif.write_bytes(drawing.gif(frames, seconds=FILM_SECONDS))
    seconds = np.linspace(0, FILM_SECONDS, len(frames), endpoint=False, dtype=np.float32)
    write_webm(Film(frames=np.stack(frames), seconds=seconds), webm)
    return [str(path) for path in (plain, moving, png, gif, webm)]
