"""What a training leaves is at once a choice in every other tab that can use it, and answers there.

The CLIPs are trained here, by the engine's own command; what takes an hour is stood for by the embedded weights of the
same recipe, which are such a run's files.
"""

import shutil

import gradio as gr
import numpy as np
import pytest
from PIL import Image

import app
from core import registry
from core.checkpoints import ASSETS
from core.train.__main__ import main as train
from core.train.launch import Launcher
from core.train.offers import OFFERS, Order
from core.train.recipes import RECIPES, SYSTEM_OF
from core.train.runs_list import Job
from core.train.status import FINISHED, Status
from demos import depth, detection, point_cloud, segmentation, shell, training_use, video_retrieval, zero_shot
from demos.training_desk import Desk
from demos.training_gate import Gate
from tests.demos import test_detection as detecting
from tests.demos import test_segmentation as segmenting

pytestmark = pytest.mark.slow
COLORS = {"red": (220, 40, 40), "blue": (40, 40, 220)}
TRAINED = ("clip-finetune", "clip-probe")  # here
COPIED = {  # recipes whose embedded weights stand for a run's
    "depthclip": "toybox-places",
    "pointclip": "toybox-resnet-pointclip",
    **{name: f"toybox-{name}" for name in ("lseg", "groupvit", "sam", "vild", "glip", "clip4clip", "actionclip")},
}
PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)


def run_of(recipe: str) -> str:
    return f"run/{1 + [*TRAINED, *COPIED].index(recipe):04d}-{recipe}"


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory):
    top = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIP_FAMILY_RUNS", str(top))
        patch.setenv("CLIP_FAMILY_INDEX", str(tmp_path_factory.mktemp("index")))
        patch.setenv("CLIP_FAMILY_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv(shell.LOCAL, "0")  # where only listed weights may be used
        patch.setattr("core.train.presets.WATCHED", 16)
        photos = tmp_path_factory.mktemp("photos")
        for name, color in COLORS.items():
            (photos / name).mkdir()
            for number in range(6):
                Image.new("RGB", (64, 64), tuple(v + number for v in color)).save(photos / name / f"{number}.png")
        for recipe in TRAINED:
            train(
                [recipe, "--out", str(top / run_of(recipe)[4:]), "--steps", "2", "--batch", "4", "--data", str(photos)]
            )
        for recipe, name in COPIED.items():
            folder = top / run_of(recipe)[4:]
            folder.mkdir()
            for ending in (".safetensors", ".json"):
                shutil.copy(ASSETS / f"{name}{ending}", folder)
            status = Status(folder, recipe=recipe, arguments=[], system=SYSTEM_OF.get(recipe, recipe))
            status.change(weights=f"{name}.safetensors")
            status.end(FINISHED, "")
        for recipe in (*TRAINED, *COPIED):
            Job(order=Order(recipe=recipe, minutes=1), created=1.0, state="finished").write(top / run_of(recipe)[4:])
        yield top


def uses(system: str) -> list[str]:
    """Return the recipes whose weights a system can use."""
    own = {system, registry.get(system).weights_of}
    return [recipe for recipe in (*TRAINED, *COPIED) if SYSTEM_OF.get(recipe, recipe) in own]


def zero(name):
    return zero_shot.answer_question(PICTURE, "red, blue", "a photo of a {}.", name, "en", False, 1.0)[0].labels


def segmented(system):
    def ask(name):
        names = [
            name if each == system else own for each, own in zip(segmentation.SYSTEMS, segmenting.NAMES, strict=True)
        ]
        namer = name if system == "clip" else "toybox-resnet"
        asked = "sam" if system == "clip" else system
        return segmenting.ask(PICTURE, asked, "ball, tree", weights=(*names, namer, False))[3]

    return ask


def head_of(name):
    return "crops" if "clip" in name else "ensemble"


def detected(system):
    def ask(name):
        names = [name if each == system else f"toybox-{each}" for each in detection.SYSTEMS]
        found = detection.answer(
            *("en", None, None, PICTURE, "words", "ball, tree", "a ball", system, head_of(name), 3, 0.0, 0.5, 2 / 3),
            *detecting.OWN,
            *names,
        )
        return found[4]

    return ask


def deep(name):
    asked = (depth.WORDS, depth.BINS, depth.TEMPLATE, 0.0, "released", name, "en")
    return depth.estimate(PICTURE, *asked)[0]


def cloud(name):
    asked = (None, "z", 3, "mug, tree", name, "en", point_cloud.preset_for(name), 3, 256, 0, 0, 0.0, False)
    return point_cloud.asking(point_cloud.answer_question)(*asked)[0]


def found(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("demos.video_kept.TOY_CLIPS", 1)
        patch.setattr("demos.video_kept.TOY_PIXELS", 64)
        toys = video_retrieval.take_toys(None, "en")[0]
        asked = (toys, None, "a red ball", None, 0.5, "frames", 0.5, name, "en")
        return list(video_retrieval.answer(*asked))[-1][1]


def clips(name):
    model = shell.load("clip4clip", name)
    return model.scores(model.encode([np.stack([PICTURE] * 3)]), ["a ball"], model.default_head)


def acted(name):
    return shell.load("actionclip", name).rank(np.stack([PICTURE] * 8), ["growing", "shrinking"]).labels


def sketched(name):
    model = shell.load("clipasso", name)
    return model.start(PICTURE).step(1)


def drawn(name):
    return shell.load("clipdraw", name).start("a red ball").step(1)


ASK = {
    "clip": zero,
    **{name: segmented(name) for name in segmentation.SYSTEMS},
    **{name: detected(name) for name in detection.SYSTEMS},
    "clip4clip": clips,
    "moments": found,
    "actionclip": acted,
    "pointclip": cloud,
    "depthclip": deep,
    "clipasso": sketched,
    "clipdraw": drawn,
}
CASES = [(system, recipe) for system in registry.names() for recipe in uses(system)]


def test_every_system_and_every_recipe_of_the_tab_is_here():
    assert set(ASK) == set(registry.names())
    assert {SYSTEM_OF.get(name, name) for name in OFFERS} <= {SYSTEM_OF.get(name, name) for name in (*TRAINED, *COPIED)}
    assert all(SYSTEM_OF.get(name, name) in registry.names() for name in RECIPES)
    assert {recipe for _, recipe in CASES} == {*TRAINED, *COPIED}


@pytest.mark.parametrize(("system", "recipe"), CASES)
def test_a_run_is_listed_after_what_is_embedded_and_answers(system, recipe):
    names = registry.weights_names(system)
    assert run_of(recipe) in names
    assert not names[0].startswith("run/")
    assert ASK[system](run_of(recipe)) is not None


@pytest.mark.parametrize("recipe", TRAINED)
def test_a_clip_names_the_masks_of_sam_too(recipe):
    assert segmented("clip")(run_of(recipe)) is not None


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        ("lseg", "defaults"),
        ("groupvit", "defaults"),
        ("sam", "default_settings"),
        ("depthclip", "defaults"),
        ("pointclip", "default_settings"),
        ("glip", "defaults"),
    ],
)
def test_a_run_is_asked_as_the_embedded_weights_of_its_recipe_are(system, settings):
    run, embedded = (registry.load(system, name) for name in (run_of(system), registry.weights_names(system)[0]))
    assert getattr(run, settings) == getattr(embedded, settings)


def test_an_adapter_brings_its_clip_along():
    run = registry.load("pointclip", run_of("pointclip"))
    features = np.random.default_rng(0).normal(size=(1, 10, 128)).astype(np.float32)
    own = run.score(features, ["mug", "tree"], adapted=True)[0]
    embedded = registry.load("pointclip", "toybox-resnet").score(features, ["mug", "tree"], adapted=True)[0]
    np.testing.assert_allclose(own.cosines, embedded.cosines)


@pytest.fixture(scope="module")
def page():
    return app.build()


@pytest.fixture(scope="module")
def pickers(page):
    return training_use.pickers(page)


@pytest.mark.parametrize("elem_id", ["sg-namer", "dt-masker", *(f"{system}-weights" for system in registry.names())])
def test_a_list_of_weights_is_read_anew_when_it_is_opened(page, elem_id):
    (picker,) = (block for block in page.blocks.values() if getattr(block, "elem_id", None) == elem_id)
    assert any((picker._id, "focus") in each.targets for each in page.fns.values())


@pytest.mark.parametrize("recipe", [*TRAINED, *COPIED])
def test_one_click_sets_every_picker_that_can_use_a_run(recipe, root, pickers):
    assert set(pickers) == set(registry.names()), "every system has a picker in some tab"
    desk = Desk(gate=Gate("x" * 40), launcher=Launcher(root), language="en")
    *updates, said = training_use.use(desk, list(pickers), run_of(recipe)[4:])
    chosen = {system for system, update in zip(pickers, updates, strict=True) if update != gr.skip()}
    assert chosen == {system for system in registry.names() if recipe in uses(system)}
    assert all(registry.get(system).title in said for system in chosen)


def test_the_probe_says_what_it_knows_and_answers_by_it():
    card = registry.weights_card("clip", run_of("clip-probe"))
    assert "all labels are its classes: blue, red" in card.note
    assert zero(run_of("clip-probe")) == ("red", "blue")
    assert registry.load("clip", run_of("clip-probe")).unseen_words(["red", "blue"]) == ()
