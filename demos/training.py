"""The hidden training tab: start a training, watch it learn, stop it, go on, and use what it learnt.

Locked three times over: without a token in the environment nothing of it is built; with one it is built for the page
alone whose address asks for it (?tab=training), so that no configuration shows it; and every entry takes the token as
its first input and checks it, so that a stolen session is of no use.
"""

from contextlib import suppress
from typing import Any

import gradio as gr

from core.train.launch import Launcher
from core.train.offers import OFFERS, RATE_FACTORS
from core.train.runs_list import runs_root
from demos import training_show as show
from demos import training_use as using
from demos.shell import QUIET, note, read_language
from demos.text_training import say
from demos.training_desk import Desk, start_weights
from demos.training_gate import find_gate

ID = "training"
PLACE = "more"  # what every page knows the tab by
POLL_SECONDS = 2.0
FIRST = "clip-3-minutes"
WATCHED = ("where", "signature", "shown", "several", "stop", "resume")  # in the order of Desk.watch
WATCHED += ("curves", "matrix", "samples", "figures", "table")
KEPT_TOKEN = "clip-family-training"  # in the browser's session storage: a reloaded page opens by itself
RECALL = f"() => [sessionStorage.getItem('{KEPT_TOKEN}') || '']"
REMEMBER = f"(token) => {{ sessionStorage.setItem('{KEPT_TOKEN}', token); }}"
CLOSED = "<style>#training-lock { display: none !important; }</style>"  # its token stays, and goes with every request
LIVE: dict[str, Any] = {"interactive": True}  # outputs that are inputs too; in a render Gradio takes them for fixed
TRAINING: dict[str, Any] = {**QUIET, "concurrency_id": "training", "concurrency_limit": 1}
WATCHING: dict[str, Any] = {**QUIET, "concurrency_id": "watching", "concurrency_limit": 4}


def build_hidden(demo: gr.Blocks, tabs: gr.Tabs) -> None:
    """Let the tab be added to pages that ask for it, where the environment has a token for it; else do nothing.

    Called inside `tabs`, after the other tabs were built. What every page gets is an empty tab that cannot be seen.
    """
    gate = find_gate()
    if gate is None:
        return
    launcher, pickers = Launcher(runs_root()), using.pickers(demo)
    with gr.Tab("", id=PLACE, visible=False) as place:

        @gr.render(triggers=[demo.load], show_progress="hidden")
        def more(request: gr.Request) -> None:
            if request.query_params.get("tab") == ID:
                build(Desk(gate=gate, launcher=launcher, language=read_language(request)), pickers)

    def show_place(request: gr.Request) -> tuple[Any, Any]:
        if request.query_params.get("tab") != ID:
            return gr.skip(), gr.skip()
        return gr.Tab(label=say(read_language(request), "tr_tab"), visible=True), gr.Tabs(selected=PLACE)

    demo.load(show_place, None, [place, tabs], api_name=PLACE, **QUIET)


def build(desk: Desk, pickers: dict[str, gr.Dropdown]) -> None:
    """Lay the tab out for one page and connect it."""
    style = gr.HTML(show.STYLE, padding=False, elem_id="training-style")
    with gr.Row(elem_id="training-lock"):
        token = gr.Textbox(label=desk.say("tr_token"), type="password", scale=4, elem_id="training-token", **LIVE)
        opened = gr.Button(desk.say("tr_open"), variant="primary", scale=1, elem_id="training-open")
    with gr.Row(equal_height=False, visible=False, elem_id="training-room") as room:
        with gr.Column(scale=2, min_width=320):
            asked = _inputs(desk)
        with gr.Column(scale=3, min_width=420):
            shown = _outputs(desk)
    timer, first = gr.Timer(POLL_SECONDS, active=False), gr.Timer(0.2)
    shown["signature"] = gr.State(None)
    watched = [shown[name] for name in WATCHED]
    opening = [style, room, timer, token, asked["weights"]]

    def open_room() -> tuple[Any, ...]:
        listed = start_weights()
        return (
            show.STYLE + CLOSED,
            gr.update(visible=True),
            gr.Timer(active=True),
            gr.skip(),
            gr.update(choices=listed, value=listed[0]),
        )

    come_in = desk.admit(open_room)

    def recall(request: gr.Request, kept: str | None) -> tuple[Any, ...]:
        """Open the tab by the token that this browser kept; once, whatever comes of it."""
        found = [gr.skip()] * len(opening)
        if kept:
            with suppress(gr.Error):
                found = list(come_in(request, kept))
                found[opening.index(token)] = kept
        return (gr.Timer(active=False), *found)

    watch = {"fn": desk.admit(desk.watch), "inputs": [token, shown["shown"], shown["signature"]], "outputs": watched}
    came_in = gr.on([opened.click, token.submit], come_in, token, opening, **TRAINING)
    came_in.success(None, token, None, js=REMEMBER, **QUIET)
    came_in.success(**watch, **WATCHING)
    first.tick(recall, token, [first, *opening], js=RECALL, **TRAINING)
    timer.tick(**watch, **WATCHING)
    shown["shown"].input(desk.admit(lambda name: desk.watch(name, None)), [token, shown["shown"]], watched, **WATCHING)
    _connect(desk, token, asked, shown, watched, pickers)


def _connect(
    desk: Desk,
    token: gr.Textbox,
    asked: dict[str, Any],
    shown: dict[str, Any],
    watched: list[Any],
    pickers: dict[str, gr.Dropdown],
) -> None:
    """Connect everything behind the lock."""
    asked["recipe"].input(
        desk.admit(desk.choose_recipe),
        [token, asked["recipe"]],
        [asked[name] for name in ("minutes", "data", "upload", "weights", "share", "counted")],
        **TRAINING,
    )
    asked["data"].input(desk.admit(desk.count), [token, asked["data"]], asked["counted"], **TRAINING)
    asked["upload"].upload(
        desk.admit(desk.upload), [token, asked["upload"]], [asked["data"], asked["counted"]], **TRAINING
    )
    order = [asked[name] for name in ("recipe", "data", "weights", "minutes", "rate", "share")]
    asked["start"].click(desk.admit(desk.start), [token, *order], watched, **TRAINING)
    for name in ("stop", "resume", "remove"):
        shown[name].click(desk.admit(getattr(desk, name)), [token, shown["shown"]], watched, **TRAINING)
    gr.on(
        [shown[name].input for name in ("several", "curve", "along")],
        desk.admit(desk.compare),
        [token, *(shown[name] for name in ("several", "curve", "along"))],
        shown["compared"],
        **WATCHING,
    )
    shown["write"].click(desk.admit(desk.write_files), [token, shown["shown"]], shown["files"], **TRAINING)
    systems = list(pickers)

    def use(name: str | None) -> tuple[Any, ...]:
        *updates, said = using.use(desk, systems, name)
        return (*updates, note(said))

    shown["use"].click(desk.admit(use), [token, shown["shown"]], [*pickers.values(), shown["used"]], **TRAINING)


def _inputs(desk: Desk) -> dict[str, Any]:
    """Add what may be chosen, each with its bounds."""
    offer = OFFERS[FIRST]
    recipes = [(show.recipe_name(name, desk.language), name) for name in OFFERS]
    recipe = gr.Dropdown(recipes, value=FIRST, label=desk.say("tr_recipe"), elem_id="training-recipe", **LIVE)
    data = gr.Dropdown(
        [(desk.say("tr_toybox"), "")],
        value="",
        label=desk.say("tr_data"),
        visible=False,
        interactive=True,
        elem_id="training-data",
    )
    upload = gr.File(
        label=desk.say("tr_upload"),
        file_types=[".zip"],
        visible=False,
        height=110,
        interactive=True,
        elem_id="training-upload",
    )
    counted = gr.HTML(desk.takes(FIRST), padding=False, elem_id="training-counted")
    minutes = gr.Slider(
        offer.least_minutes,
        offer.most_minutes,
        value=offer.minutes,
        step=0.5,
        label=desk.say("tr_minutes"),
        interactive=True,
        elem_id="training-minutes",
    )
    start = gr.Button(desk.say("tr_start"), variant="primary", elem_classes="run", elem_id="training-start")
    with gr.Accordion(desk.say("tr_more"), open=False, elem_id="training-more"):
        weights = gr.Dropdown([], label=desk.say("tr_weights"), visible=False, elem_id="training-weights", **LIVE)
        least, most = RATE_FACTORS
        rate = gr.Slider(least, most, value=1, step=0.1, label=desk.say("tr_rate"), elem_id="training-rate", **LIVE)
        share = gr.Slider(
            0, 1, value=1, step=0.05, label=desk.say("tr_share"), visible=False, elem_id="training-share", **LIVE
        )
    names = ("recipe", "data", "upload", "counted", "weights", "minutes", "rate", "share", "start")
    return dict(zip(names, (recipe, data, upload, counted, weights, minutes, rate, share, start), strict=True))


def _outputs(desk: Desk) -> dict[str, Any]:
    """Add what is shown of a run."""
    shown: dict[str, Any] = {}
    with gr.Row(elem_id="training-run-row"):
        shown["shown"] = gr.Dropdown(
            [],
            label=desk.say("tr_shown"),
            scale=6,
            min_width=220,
            filterable=False,
            interactive=True,
            elem_id="training-shown",
        )
        for name in ("stop", "resume"):
            shown[name] = gr.Button(
                desk.say(f"tr_{name}"),
                size="sm",
                scale=1,
                elem_classes="low",
                interactive=False,
                elem_id=f"training-{name}",
            )
    shown["where"] = gr.HTML(note(desk.say("tr_no_runs")), padding=False, elem_id="training-where")
    with gr.Tabs(elem_id="training-lessons", elem_classes="lessons", overflow_behavior="wrap"):
        with gr.Tab(desk.say("tr_live"), id="training-live"):
            shown["curves"] = gr.HTML(padding=False, elem_id="training-curves")
            shown["matrix"] = gr.HTML(padding=False, elem_id="training-matrix")
        with gr.Tab(desk.say("tr_before_after"), id="training-figures"):
            shown["figures"] = gr.HTML(padding=False, elem_id="training-figures-table")
        with gr.Tab(desk.say("tr_samples"), id="training-samples"):
            shown["samples"] = gr.HTML(padding=False, elem_id="training-samples-list")
        with gr.Tab(desk.say("tr_compare"), id="training-compare"):
            shown |= _compare(desk)
        with gr.Tab(desk.say("tr_files"), id="training-files"):
            shown["use"] = gr.Button(desk.say("tr_use"), variant="primary", elem_id="training-use")
            shown["used"] = gr.HTML(padding=False, elem_id="training-used")
            gr.Markdown(desk.say("tr_files_note"))
            shown["write"] = gr.Button(desk.say("tr_write"), elem_id="training-write")
            shown["files"] = gr.File(
                file_count="multiple", interactive=False, show_label=False, elem_id="training-files-list"
            )
        with gr.Tab(desk.say("tr_runs"), id="training-runs"):
            shown["table"] = gr.HTML(padding=False, elem_id="training-table")
            shown["remove"] = gr.Button(desk.say("tr_remove"), size="sm", elem_id="training-remove")
    return shown


def _compare(desk: Desk) -> dict[str, Any]:
    """Add the choice of runs, of what is compared, and the curves."""
    several = gr.Dropdown(
        [], multiselect=True, label=desk.say("tr_runs_to_compare"), max_choices=8, elem_id="training-several", **LIVE
    )
    with gr.Row():
        curves = [(desk.say(f"tr_{name}"), name) for name in show.CURVES]
        curve = gr.Dropdown(curves, value="loss", label=desk.say("tr_curve"), elem_id="training-curve", **LIVE)
        axes = [(desk.say(f"tr_axis_{name}"), name) for name in ("seconds", "step")]
        along = gr.Dropdown(axes, value="seconds", label=desk.say("tr_axis"), elem_id="training-along", **LIVE)
    compared = gr.HTML(note(desk.say("tr_chosen_none")), padding=False, elem_id="training-compared")
    return {"several": several, "curve": curve, "along": along, "compared": compared}
