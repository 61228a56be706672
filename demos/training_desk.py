"""What the training tab does when it is asked: every entry checks the token first, then starts, watches or stops.

Nothing here takes a path: recipes, pictures, weights and runs are chosen by name and looked up.
"""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from core import registry
from core.train import shelf
from core.train.launch import Launcher
from core.train.offers import OFFERS, Order
from core.train.runs_list import find_run
from demos import training_show as show
from demos.errors import translate
from demos.shell import note
from demos.text_training import say
from demos.training_gate import Gate

START = "clip"  # the system whose weights a fine-tuning begins with
NEWEST = 50  # runs in the lists
MOST_CLASSES_NAMED = 12
EXPORTED = ("*.safetensors", "*.json", "README.md", "log.jsonl")
INTERNAL = ("job.json", "status.json")
OPEN_CLIP = "open_clip"  # the folder of a run that open_clip opens
NOTHING = gr.skip


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The training tab of one page: its lock, the runs, and the language it speaks."""

    gate: Gate
    launcher: Launcher
    language: str

    def admit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the handler that checks the token, its first input, before anything else happens."""

        def entry(request: gr.Request, token: str | None, *arguments: Any) -> Any:
            try:
                self.gate.check(token, request.client.host if request.client else "")
                return function(*arguments)
            except ValueError as error:
                raise gr.Error(translate(str(error), self.language), print_exception=False, duration=12) from None

        return entry

    def say(self, key: str, **values: Any) -> str:
        """Return a sentence of this tab."""
        return say(self.language, key, **values)

    def choose_recipe(self, recipe: str) -> tuple[Any, ...]:
        """Return the bounds of the minutes, what is shown of pictures, upload, weights and share, and a note."""
        offer = OFFERS[recipe]
        takes = offer.data != "none"
        minutes = gr.update(minimum=offer.least_minutes, maximum=offer.most_minutes, value=offer.minutes)
        data = gr.update(visible=takes, choices=self.data_choices(), value="" if offer.data != "needed" else None)
        listed = start_weights(offer.starts_from) if offer.starts_from else []
        starts = gr.update(visible=bool(listed), choices=listed, value=listed[0] if listed else None)
        upload = gr.update(visible=takes and not offer.boxes)
        return minutes, data, upload, starts, gr.update(visible=offer.mixes), self.takes(recipe)

    def takes(self, recipe: str) -> str:
        """Say what a recipe learns from."""
        offer = OFFERS[recipe]
        return note(self.say("tr_takes_boxes" if offer.boxes else f"tr_takes_{offer.data}"))

    def data_choices(self) -> list[tuple[str, str]]:
        """Return the pictures that may be learnt from, the Toybox first."""
        return [(self.say("tr_toybox"), ""), *((label, label) for label in shelf.choices(self.launcher.root))]

    def count(self, data: str | None) -> str:
        """Say what pictures were chosen."""
        path = shelf.choose(self.launcher.root, data)
        if path is None:
            return ""
        key, counts = "tr_counted_boxes", {}
        with suppress(ValueError):
            counts = shelf.boxes(path)
        if not counts:
            key, counts = "tr_counted", shelf.census(path)
        if not counts:
            return note(self.say("tr_table_chosen"))
        named = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:MOST_CLASSES_NAMED])
        named += ", …" if len(counts) > MOST_CLASSES_NAMED else ""
        return note(self.say(key, classes=len(counts), pictures=sum(counts.values()), each=named))

    def upload(self, path: str | None) -> tuple[Any, str]:
        """Keep a zip, choose it, and say what is in it."""
        label = shelf.keep_upload(self.launcher.root, path)
        return gr.update(choices=self.data_choices(), value=label), self.count(label)

    def start(
        self, recipe: str, data: str | None, weights: str | None, minutes: float, rate: float, share: float
    ) -> tuple[Any, ...]:
        """Put a training into the queue and show it."""
        offer = OFFERS.get(recipe)
        path = shelf.choose(self.launcher.root, data) if offer and offer.data != "none" else None
        order = Order(
            recipe=recipe,
            minutes=minutes,
            data=str(path) if path else None,
            weights=weights if offer and offer.starts_from else None,
            rate_factor=rate,
            share=share if offer and offer.mixes else 1.0,
        )
        if path is not None:
            (shelf.boxes if offer and offer.boxes else shelf.census)(path)
        return self.watch(self.launcher.start(order), None)

    def stop(self, name: str | None) -> tuple[Any, ...]:
        """Stop a run and show it."""
        self.launcher.stop(self._named(name))
        return self.watch(name, None)

    def resume(self, name: str | None) -> tuple[Any, ...]:
        """Let a run go on and show it."""
        self.launcher.resume(self._named(name))
        return self.watch(name, None)

    def remove(self, name: str | None) -> tuple[Any, ...]:
        """Delete a run and show the newest."""
        self.launcher.remove(self._named(name))
        return self.watch(None, None)

    def watch(self, name: str | None, before: Any) -> tuple[Any, ...]:
        """Return everything on show of a run, the newest one where none is named; nothing where nothing changed.

        What is returned stands in the order of `demos.training.WATCHED`.
        """
        self.launcher.attend()
        runs = self.launcher.runs()
        run = next((each for each in runs if each.name == name), None) or (runs[0] if runs else None)
        now = show.signature(run, runs)
        lines, seen = show.look(run)
        where = show.where(run, runs, lines, self.language)
        if now == before:
            return (where if run is not None and run.state == "running" else NOTHING(), *(NOTHING() for _ in range(10)))
        choices = [(show.short_title(each, self.language), each.name) for each in runs[:NEWEST]]
        return (
            where,
            now,
            gr.update(choices=choices, value=run.name if run else None),
            gr.update(choices=[(show.short_title(each), each.name) for each in runs[:NEWEST]]),
            gr.update(interactive=run is not None and run.state in ("queued", "running")),
            gr.update(interactive=run is not None and run.resumable),
            show.curves(lines, self.language, finetuned=run is not None and show.is_finetune(run)),
            show.similarity(seen, self.language),
            show.sample_pictures(seen, self.language),
            show.before_and_after(run, lines, self.language),
            show.table(runs, self.language),
        )

    def compare(self, names: list[str] | None, key: str, along: str) -> str:
        """Return one curve of several runs."""
        runs = [find_run(self.launcher.root, name) for name in names or ()]
        return show.compared(runs, key, along, self.language)

    def write_files(self, name: str | None) -> list[str]:
        """Copy what a run left to where a browser may fetch it, and return the paths."""
        run = find_run(self.launcher.root, name)
        found = sorted({path for pattern in EXPORTED for path in run.folder.glob(pattern)})
        found = [path for path in found if path.is_file() and path.name not in INTERNAL]
        if not found:
            raise ValueError("This run has no files yet.")
        folder = Path(tempfile.mkdtemp(prefix="run-"))
        copies = [shutil.copy(path, folder / path.name) for path in found]
        if (run.folder / OPEN_CLIP).is_dir():
            copies.append(Path(shutil.make_archive(str(folder / OPEN_CLIP), "zip", run.folder / OPEN_CLIP)))
        return [str(path) for path in copies]

    def _named(self, name: str | None) -> str:
        return find_run(self.launcher.root, name).name


def start_weights(system: str = START) -> list[str]:
    """Return a system's weights on this disk that a training may begin with."""
    return [name for name in registry.weights_names(system) if registry.weights_card(system, name).available]
