"""A finished run's weights in the other tabs: their pickers list them, and can be set to them at once."""

from typing import Any

import gradio as gr

from core import registry
from core.train.runs_list import find_run
from demos.text_training import say
from demos.training_desk import Desk

ENDING = "-weights"  # of a picker's elem_id, after the system's name: demos.shell.model_picker


def pickers(demo: gr.Blocks) -> dict[str, gr.Dropdown]:
    """Return the model pickers of the tabs that were built, by system."""
    found = {}
    for block in demo.blocks.values():
        name = str(getattr(block, "elem_id", None) or "")
        if isinstance(block, gr.Dropdown) and name.endswith(ENDING) and name[: -len(ENDING)] in registry.names():
            found[name[: -len(ENDING)]] = block
    return found


def use(desk: Desk, systems: list[str], name: str | None) -> tuple[Any, ...]:
    """Return a value for each picker, the run's weights where the system can use them, and what is to be said."""
    run = find_run(desk.launcher.root, name)
    if not run.weights:
        raise ValueError("There are no weights yet: a run writes them when it finishes.")
    own, updates, titles = str(run.weights[0]), [], []
    for system in systems:
        listed = [each for each in registry.weights_names(system) if _is(system, each, own)]
        if listed:
            titles.append(registry.get(system).title)
            choices = [(_line(system, each), each) for each in registry.weights_names(system)]
            updates.append(gr.update(choices=choices, value=listed[0]))
        else:
            updates.append(gr.skip())
    key = "tr_used" if titles else "tr_only_listed"
    said = say(desk.language, key, name=run.weights[0].stem, **({"tabs": ", ".join(titles)} if titles else {}))
    return (*updates, said)


def _is(system: str, name: str, path: str) -> bool:
    card = registry.weights_card(system, name)
    return card.path is not None and str(card.path) == path


def _line(system: str, name: str) -> str:
    """Return the line of a picker: name, size and licence."""
    card = registry.weights_card(system, name)
    return f"{name} · {(card.size_bytes or 0) / 1e6:.0f} MB · {card.licence}"
