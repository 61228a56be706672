"""The hidden training tab: without its token nothing of it exists, and nothing but the token starts anything."""

import json
import re
import sys
import time
import urllib.request
import zipfile

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

import app
from core import registry
from core.train.launch import Launcher
from core.train.offers import OFFERS, Order
from core.train.runs_list import Job, is_at_work, list_runs
from demos import shell, training, training_show, training_use
from demos.text_training import COMPLAINTS, WORDS, say
from demos.training_desk import Desk
from demos.training_gate import DELAY_SECONDS, MOST_FAILURES, PUBLIC_VARIABLE, TOKEN_VARIABLE, Gate, find_gate
from tests.demos.test_app import status
from tests.demos.walk import FLAGS, PATIENCE
from tests.project import ROOT
from tests.train.annotated import coco_folder

ENGINE = (sys.executable, str(ROOT / "tests" / "train" / "pretend_engine.py"))
TOKEN = "an example of a token with more than 32 letters"
TRACES = re.compile(r"train(ing|er|_|-|\b)|\btr_[a-z]|clip-3-minutes|finetune|SUITE_", re.IGNORECASE)


@pytest.fixture(autouse=True)
def _own_root(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_FAMILY_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv(shell.LOCAL, "1")
    for name in ("SPACE_ID", TOKEN_VARIABLE, PUBLIC_VARIABLE, "CLIP_FAMILY_DATA"):
        monkeypatch.delenv(name, raising=False)


def small_app() -> gr.Blocks:
    """Return a page with one other tab, as app.build makes it."""
    with gr.Blocks() as demo, gr.Tabs() as tabs:
        with gr.Tab("Other", id="other"):
            gr.Dropdown(["toybox-resnet", "toybox-vit"], elem_id="clip-weights")
        training.build_hidden(demo, tabs)
    return demo.queue(max_size=32, api_open=False, default_concurrency_limit=4)


def config_of(demo: gr.Blocks) -> str:
    return json.dumps(demo.get_config_file(), default=str, ensure_ascii=False)


def test_without_a_token_no_configuration_has_a_trace_of_it():
    config = config_of(small_app())
    assert not TRACES.search(config)
    assert "render" not in json.dumps([d.get("rendered_in") for d in json.loads(config)["dependencies"]])
    assert json.loads(config)["dependencies"] == []


def test_with_a_token_the_configuration_has_no_trace_of_it_either(monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    config = config_of(small_app())
    assert not TRACES.search(config)
    assert TOKEN not in config
    assert len(json.loads(config)["dependencies"]) == 2  # what builds it for a page that asks, and shows it there


def test_no_word_of_it_is_sent_to_every_page():
    from demos.text import WORDS as PUBLIC_WORDS

    assert not {key for key in PUBLIC_WORDS if key.startswith("tr_")}
    assert not any("training tab" in text.lower() for pair in PUBLIC_WORDS.values() for text in pair)


@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({}, False),
        ({TOKEN_VARIABLE: "short"}, False),
        ({TOKEN_VARIABLE: TOKEN}, True),
        ({TOKEN_VARIABLE: TOKEN, "SPACE_ID": "someone/space"}, False),
        ({TOKEN_VARIABLE: TOKEN, shell.LOCAL: "0"}, False),
        ({TOKEN_VARIABLE: TOKEN, "SPACE_ID": "someone/space", PUBLIC_VARIABLE: "1"}, True),
        ({PUBLIC_VARIABLE: "1"}, False),
    ],
)
def test_it_exists_only_where_the_environment_asks_for_it(monkeypatch, environment, there):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (find_gate() is not None) == there


def test_a_client_that_fails_often_is_locked_out_and_others_are_not():
    gate = Gate(TOKEN, delay=0)
    for wrong in ("", None, TOKEN[:-1], TOKEN + "x", "\ud800")[:MOST_FAILURES]:
        with pytest.raises(ValueError, match="does not open"):
            gate.check(wrong, "1.2.3.4")
    with pytest.raises(ValueError, match="Too many"):
        gate.check(TOKEN, "1.2.3.4")
    gate.check(TOKEN, "5.6.7.8")
    assert DELAY_SECONDS >= 0.5


def test_the_lock_ends_after_a_while_and_a_right_token_clears_the_count(monkeypatch):
    gate = Gate(TOKEN, delay=0)
    for _ in range(2):
        for _ in range(MOST_FAILURES - 1):
            with pytest.raises(ValueError, match="does not open"):
                gate.check("wrong", "me")
        gate.check(TOKEN, "me")
    for _ in range(MOST_FAILURES):
        with pytest.raises(ValueError, match="does not open"):
            gate.check("wrong", "me")
    later = time.monotonic() + 301
    monkeypatch.setattr("demos.training_gate.time.monotonic", lambda: later)
    gate.check(TOKEN, "me")


@pytest.fixture
def desk(tmp_path):
    made = Desk(gate=Gate(TOKEN, delay=0), launcher=Launcher(tmp_path / "runs", ENGINE), language="en")
    yield made
    for run in made.launcher.runs():
        (run.folder / "stop").touch()
    wait(lambda: not is_at_work(made.launcher.root))


def wait(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def request() -> gr.Request:
    return gr.Request(client={"host": "1.2.3.4"}, query_params={}, headers={})


def named(values) -> dict:
    return dict(zip(training.WATCHED, values, strict=True))


ASKED = ("pointclip", "", "toybox-resnet", 1, 1, 1)  # recipe, pictures, weights, minutes, rate, share


@pytest.mark.parametrize("name", ["choose_recipe", "count", "upload", "start", "stop", "resume", "remove", "watch"])
@pytest.mark.parametrize("token", ["", "wrong", None])
def test_every_entry_refuses_a_wrong_token_before_it_does_anything(desk, name, token):
    called = []
    entry = desk.admit(lambda *arguments: called.append(arguments))
    with pytest.raises(gr.Error, match="does not open"):
        entry(request(), token, *ASKED)
    with pytest.raises(gr.Error, match="does not open"):
        desk.admit(getattr(desk, name))(request(), token)
    assert called == []
    assert list_runs(desk.launcher.root) == []


def test_a_training_is_started_watched_and_left_alone_when_nothing_changes(desk):
    shown = named(desk.admit(desk.start)(request(), TOKEN, *ASKED))
    name = shown["shown"]["value"]
    assert "1 · " in shown["where"]
    wait(lambda: list_runs(desk.launcher.root)[0].state == "finished")
    shown = named(desk.watch(name, None))
    assert "finished" in shown["where"]
    assert shown["curves"].count("<polyline") == 2  # loss and learning rate; nothing was measured
    assert not shown["stop"]["interactive"]
    again = named(desk.watch(name, shown["signature"]))
    assert all(value == gr.skip() for value in again.values())


def test_stop_and_resume_by_their_buttons(desk, monkeypatch):
    monkeypatch.setenv("PRETEND", "forever")
    name = named(desk.start(*ASKED))["shown"]["value"]
    wait(lambda: list_runs(desk.launcher.root)[0].step > 1)
    shown = named(desk.stop(name))
    assert not shown["resume"]["interactive"]
    wait(lambda: list_runs(desk.launcher.root)[0].state == "stopped")
    shown = named(desk.watch(name, None))
    assert "Stopped on request" in shown["where"]
    assert shown["resume"]["interactive"]
    desk.resume(name)
    wait(lambda: list_runs(desk.launcher.root)[0].state == "finished")
    assert named(desk.remove(name))["shown"]["value"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "../clip"},
        {"minutes": 10_000},
        {"rate": 1e6},
        {"data": "/etc", "recipe": "clip"},
        {"data": "data/../../..", "recipe": "clip"},
        {"data": "", "recipe": "clip-finetune"},
        {"weights": "/etc/passwd", "recipe": "clip-finetune", "data": "data/pets"},
    ],
)
def test_what_no_list_offers_is_refused_and_nothing_starts(desk, pets, changes):
    asked = dict(zip(("recipe", "data", "weights", "minutes", "rate", "share"), ASKED, strict=True)) | changes
    with pytest.raises(gr.Error):
        desk.admit(desk.start)(request(), TOKEN, *asked.values())
    assert list_runs(desk.launcher.root) == []


@pytest.mark.parametrize("name", ["../..", "/etc", None, "0001-none"])
def test_no_entry_takes_a_path_for_a_run(desk, name):
    for entry in (desk.stop, desk.resume, desk.remove, desk.write_files):
        with pytest.raises(gr.Error, match="There is no run"):
            desk.admit(entry)(request(), TOKEN, name)


@pytest.fixture
def pets(desk):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        path = desk.launcher.root / "data" / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return "data/pets"


def test_pictures_are_counted_when_they_are_chosen(desk, pets, tmp_path):
    assert "2 classes, 3 pictures: cat 2, dog 1" in desk.count(pets)
    assert desk.count("") == ""
    archive = tmp_path / "mine.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/1.png", b"")
        file.writestr("b/1.png", b"")
    chosen, said = desk.upload(str(archive))
    assert chosen["value"].startswith("uploads/mine-")
    assert "2 classes" in said
    assert [value for _, value in desk.data_choices()] == ["", pets, chosen["value"]]


@pytest.mark.parametrize("recipe", OFFERS)
def test_each_recipe_has_a_name_in_both_languages_and_its_bounds(desk, recipe):
    assert training_show.recipe_name(recipe, "en")
    assert training_show.recipe_name(recipe, "zh")
    minutes, data, upload, weights, share, takes = desk.choose_recipe(recipe)
    assert minutes["maximum"] == OFFERS[recipe].most_minutes
    assert data["visible"] == (OFFERS[recipe].data != "none")
    assert upload["visible"] == (data["visible"] and not OFFERS[recipe].boxes)
    assert weights["visible"] or not share["visible"]
    assert not weights["visible"] or weights["value"] == registry.weights_names(OFFERS[recipe].starts_from)[0]
    assert "Learns from" in takes


@pytest.mark.parametrize(("recipe", "start"), [("glip-prompt", "toybox-glip"), ("sam-decoder", "toybox-sam")])
def test_a_coco_file_or_a_folder_with_one_is_counted_and_learnt_from(desk, pets, recipe, start):
    folder = desk.launcher.root / "data" / "boxes"
    folder.mkdir()
    coco_folder(folder, 4)
    assert "2 classes, 4 boxes: blue square 2, red square 2" in desk.count("data/boxes")
    name = named(desk.start(recipe, "data/boxes", start, 1, 1, 1))["shown"]["value"]
    assert list_runs(desk.launcher.root)[0].job.order.weights == start
    for wrong in ((pets, start), ("data/boxes", "toybox-resnet")):
        with pytest.raises(gr.Error):
            desk.admit(desk.start)(request(), TOKEN, recipe, *wrong, 1, 1, 1)
    wait(lambda: list_runs(desk.launcher.root)[0].state == "finished")
    assert [run.name for run in list_runs(desk.launcher.root)] == [name]


@pytest.fixture
def finished(desk):
    """Return the name of a finished fine-tuning with everything that an engine leaves."""
    folder = desk.launcher.root / "0001-clip-finetune"
    (folder / "open_clip").mkdir(parents=True)
    Job(order=Order(recipe="clip-finetune", minutes=1, data="x/pets"), created=1.0, state="finished").write(folder)
    lines = [
        {"step": 0, "seconds": 0, "photo_top1": 0.25, "toy_top1": 0.99, "toy_top1_before": 0.99},
        {"step": 20, "seconds": 9.0, "loss": 2.5, "learning_rate": 1e-4, "progress": 0.5, "eta": 9.0},
        {"step": 40, "seconds": 18.0, "photo_top1": 0.75, "toy_top1": 0.9, "toy_top1_before": 0.99},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "status.json").write_text('{"state": "finished", "step": 40}')
    for name in ("mine.safetensors", "README.md", "state.pt", "open_clip/open_clip_config.json"):
        (folder / name).write_text("{}")
    data = {"source": "pets", "read": 40, "skipped": 2, "reasons": ["a.png: not a picture"]}
    (folder / "mine.json").write_text(json.dumps({"data": data}))
    np.savez(
        folder / "seen.npz",
        similarity=np.array([[0.9, 0.1], [0.8, 0.2]], np.float32),
        pictures=np.zeros((2, 8, 8, 3), np.uint8),
        captions=np.array(["a <b>cat</b>", "a dog"]),
        predictions=np.array(["cat", "cat"]),
    )
    return folder.name


def test_before_and_after_tells_what_was_learnt_and_what_was_forgotten(desk, finished):
    table = named(desk.watch(finished, None))["figures"]
    assert "Your pictures" in table
    assert "+50.0" in table
    assert "forgetting" in table
    assert "-9.0" in table
    assert "40 of your pictures were read; 2 could not" in table
    assert "a.png: not a picture" in table


def test_the_matrix_and_the_samples_say_what_was_right(desk, finished):
    shown = named(desk.watch(finished, None))
    assert "1 of 2 pictures find their own caption" in shown["matrix"]
    assert "a &lt;b&gt;cat" in shown["matrix"]
    assert shown["samples"].count("✗") == 2


def test_two_runs_are_compared_over_one_axis(desk, finished):
    other = desk.launcher.root / "0002-clip-finetune"
    other.mkdir()
    Job(order=Order(recipe="clip-finetune", minutes=1), created=1.0, state="failed").write(other)
    (other / "log.jsonl").write_bytes((other.parent / finished / "log.jsonl").read_bytes())
    for key in training_show.CURVES:
        assert desk.compare([finished, other.name], key, "step").count("<polyline") == 2
    assert "two or more" in desk.compare([finished], "loss", "step")
    assert "two or more" in desk.compare(None, "loss", "step")


def test_the_files_of_a_run_can_be_taken_home(desk, finished):
    names = [path.rsplit("/", 1)[-1] for path in desk.write_files(finished)]
    assert names == ["README.md", "log.jsonl", "mine.json", "mine.safetensors", "open_clip.zip"]


def test_what_was_learnt_is_set_in_the_other_tabs(desk, finished, monkeypatch):
    with gr.Blocks() as demo:
        gr.Dropdown(["toybox-resnet"], elem_id="clip-weights")
        gr.Dropdown(["toybox-resnet"], elem_id="other-weights")
    assert list(training_use.pickers(demo)) == ["clip"]
    nowhere, said = training_use.use(desk, ["clip"], finished)
    assert nowhere == gr.skip()
    assert "mine" in said
    own = desk.launcher.root / finished / "mine.safetensors"
    facts = {"path": own, "size_bytes": 1, "licence": "none"}
    cards = {"mine": type("Card", (), facts)}
    monkeypatch.setattr(training_use.registry, "weights_names", lambda system: ("toybox-resnet", "mine"))
    monkeypatch.setattr(training_use.registry, "weights_card", lambda system, name: cards.get(name) or cards["mine"])
    update, said = training_use.use(desk, ["clip"], finished)
    assert update["value"] in ("mine", "toybox-resnet")
    assert "CLIP" in said


def test_both_languages_say_everything_and_every_word_is_used(root):
    code = "".join(path.read_text() for path in root.glob("demos/training*.py")).replace("-", "_")
    stems = ("tr_recipe_", "tr_figure_", "tr_head_", "tr_axis_", "tr_takes_", *(f"tr_{s}" for s in STATES))
    for key, pair in WORDS.items():
        english, chinese = (sorted(set(re.findall(r"{(\w+)", text))) for text in pair)
        assert english == chinese, key
        used = f'"{key}"' in code or key.startswith(stems) or f'"{key.removeprefix("tr_")}"' in code
        assert used, key
    assert say("zh", "tr_stop") == "停止"


STATES = ("queued", "running", "stopping", "finished", "stopped", "failed")


def test_complaints_keep_their_values():
    for english, chinese in COMPLAINTS.items():
        values = [f"<{i}>" for i in range(english.count("{}"))]
        assert all(value in chinese.format(*values) for value in values), english


@pytest.mark.parametrize("token", [None, TOKEN], ids=["no token", "with a token"])
def test_no_address_of_the_server_starts_a_training_without_the_token(monkeypatch, token):
    if token:
        monkeypatch.setenv(TOKEN_VARIABLE, token)
    started = []
    monkeypatch.setattr(Launcher, "start", lambda self, order: started.append(order))
    demo = small_app()
    settings = app.launch_settings() | {"i18n": None}  # other tabs' sentences speak of training too
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **settings)
    try:
        data = {"data": ["wrong", *ASKED], "session_hash": "abc"}
        for name in ("start", "entry", "training", "train", "open_room", "watch", "recall", "lambda"):
            for way in ("call", "run", "call/v2"):
                assert status(f"{address}gradio_api/{way}/{name}", data) >= 400
        for index in range(12):
            status(f"{address}gradio_api/queue/join", data | {"fn_index": index, "trigger_id": 1})
            status(f"{address}gradio_api/run/predict", data | {"fn_index": index})
        time.sleep(1)  # what was queued is answered
        with urllib.request.urlopen(f"{address}gradio_api/info") as answer:
            assert not TRACES.search(answer.read().decode())
        with urllib.request.urlopen(f"{address}config") as answer:
            assert not TRACES.search(answer.read().decode())
    finally:
        demo.close()
    assert started == []


class Page:
    """A page of the small app in a real browser."""

    def __init__(self, playwright, chromium, address):
        self.browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        self.page = self.browser.new_context(viewport={"width": 1024, "height": 768}).new_page()
        self.page.goto(address)


def replay(joins, address) -> None:
    """Send every request that held the token again: to another session, and to its own with other tokens."""
    for body in [json.loads(each.post_data) for each in joins if TOKEN in (each.post_data or "")]:
        for token, session in ((TOKEN, "another"), ("", body["session_hash"]), ("wrong", body["session_hash"])):
            again = body | {"data": [token, *body["data"][1:]], "session_hash": session}
            status(f"{address}gradio_api/queue/join", again)
    time.sleep(3)  # a wrong token is answered after a while


@pytest.mark.slow
def test_a_lecturer_opens_the_tab_starts_a_training_and_a_reloaded_page_finds_it(chromium, monkeypatch, tmp_path):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setenv("PRETEND", "forever")
    monkeypatch.setattr("demos.training.Launcher", lambda root: Launcher(root, ENGINE))
    demo = small_app()
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **app.launch_settings())
    try:
        with sync_playwright() as playwright:
            other = Page(playwright, chromium, address)
            expect(other.page.get_by_role("tab", name="Other")).to_be_visible(timeout=PATIENCE)
            page = Page(playwright, chromium, f"{address}?tab=training").page
            joins = []
            page.on("request", lambda each: joins.append(each) if "/queue/join" in each.url else None)
            page.fill("#training-token input", TOKEN, timeout=PATIENCE)
            page.click("#training-open")
            page.click("#training-start", timeout=PATIENCE)
            expect(page.locator("#training-where")).to_contain_text("step", timeout=PATIENCE)
            page.reload()
            expect(page.locator("#training-where")).to_contain_text("step", timeout=PATIENCE)
            page.click("#training-stop")
            expect(page.locator("#training-where")).to_contain_text("Stopped on request", timeout=PATIENCE)
            expect(other.page.get_by_role("tab", name="Training")).to_have_count(0)
            assert "training-token" not in other.page.content()
            assert any(f'"{training.FIRST}"' in (each.post_data or "") for each in joins)  # Start was among them
            replay(joins, address)
            assert len(list_runs(tmp_path / "runs")) == 1
    finally:
        demo.close()
    root = tmp_path / "runs"
    wait(lambda: not is_at_work(root))


def test_a_stolen_session_needs_the_token_all_the_same(desk):
    """The token is a handler's first input: a session's own state does not stand in for it."""
    entry = desk.admit(desk.start)
    with pytest.raises(gr.Error):
        entry(request(), "", *ASKED)
    assert not any(isinstance(value, str) and TOKEN in value for value in vars(desk).values())
