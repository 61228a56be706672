"""What the sketch tab answers, without a browser; the networks are the embedded ones."""

import inspect
import re
import threading
import time
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demos import sketch, sketch_drawing, sketch_files, sketch_inputs, sketch_kept, sketch_lessons, sketch_show
from demos import sketch_words as words
from demos.errors import translate
from demos.shell import MODEL
from demos.text_sketch import COMPLAINTS

WEIGHTS = "toybox-resnet"
STEPS = 6


@pytest.fixture(scope="module")
def thing():
    return sketch.toybox_thing(sketch_kept.THING)


def drawing(picture, sitting, *, thing=None, strokes=4, iterations=STEPS, seeds=2, pen=(1.0, "#000000"), **others):
    asked = {"preset": "CPU", "start": "saliency", "losses": "L_s + L_g", "views": 0, "cut": "CLIP + GrabCut"} | others
    return sketch.draw(
        picture,
        strokes,
        asked["preset"],
        seeds,
        iterations,
        asked["start"],
        asked["losses"],
        asked["views"],
        asked["cut"],
        others.get("weights", WEIGHTS),
        *pen,
        "en",
        thing,
        sitting,
    )


@pytest.fixture(scope="module")
def drawn(thing):
    sitting = sketch_drawing.begin(None)
    shown = list(drawing(thing.picture, sitting, thing=thing))
    return sitting, shown


def figures(html):
    return html.count("<figure")


def paths(html):
    return html.count("<path")


def test_the_presets_and_limits_on_the_page_are_the_cores():
    from core.sketch import clipdraw, settings

    for name, (iterations, seeds, views) in sketch_kept.PRESETS.items():
        preset = settings.PRESETS[name]
        assert (preset.iterations, preset.seeds, preset.augmentations) == (iterations, seeds, views)
        assert preset.strokes == sketch_kept.STROKES
    assert set(sketch_kept.PRESETS) == set(settings.PRESETS)
    assert sketch_kept.STARTS == settings.STARTS
    assert sketch_kept.MOST_STROKES <= settings.MOST_STROKES
    assert sketch_lessons.COUNTS[0] <= settings.MOST_STROKES
    assert sketch_lessons.START_SEEDS <= settings.MOST_SEEDS
    assert (clipdraw.CPU.paths, clipdraw.CPU.iterations) == (words.PATHS, words.ITERATIONS)


def test_the_first_preview_comes_before_the_first_step_with_the_maps(thing):
    stream = drawing(thing.picture, sketch_drawing.begin(None), thing=thing)
    board, _, seeds, said, _, maps = next(stream)
    assert paths(board) == 4
    assert figures(seeds) == 2
    assert "begins with these strokes" in said
    assert "True: “mug”" in said
    assert [title for _, title in maps] == ["what is drawn", "saliency", "XDoG edges", "chance of a start", "starts"]
    assert len({picture.shape for picture, _ in maps}) == 1
    stream.close()


def test_a_drawing_streams_ends_and_tells_its_loss_and_cost(drawn):
    sitting, shown = drawn
    board, curves, _, said, cost, _ = shown[-1]
    progress = sitting.runs[0].progress
    assert progress.iteration == STEPS
    assert f"Done after {STEPS} iterations" in said
    loss = sketch_show.best_cell(sitting).loss(progress)
    assert f"loss {loss:.3f}" in said
    assert loss == pytest.approx(sitting.runs[0].curves.evaluated.min())
    assert "polyline" in curves
    assert WEIGHTS in cost
    assert board != shown[0][0]
    assert not sitting.busy


def test_what_streams_is_small(drawn):
    assert all(sum(len(part) for part in each[:5]) < 20_000 for each in drawn[1])


def test_stop_before_the_first_step_keeps_the_starts_and_says_so(thing):
    sitting = sketch_drawing.begin(None)
    sketch_drawing.stop(sitting, "en")
    shown = list(drawing(thing.picture, sitting, thing=thing))
    assert sitting.runs[0].progress.iteration == 0
    assert "Stopped before the first step" in shown[-1][3]
    assert paths(shown[-1][0]) == 4


def test_stop_keeps_what_is_there_and_resume_goes_on_to_what_an_uninterrupted_drawing_gives(thing, drawn, monkeypatch):
    monkeypatch.setattr(sketch_drawing, "MOMENT_SECONDS", 0.0)
    monkeypatch.setattr(sketch_drawing, "MOMENT_STEPS", 1)
    sitting = sketch_drawing.begin(None)
    stream = drawing(thing.picture, sitting, thing=thing)
    next(stream), next(stream)
    before = next(stream)[0]
    sketch_drawing.stop(sitting, "en")
    *_, (board, _, _, said, _, _) = stream
    assert board == before
    assert "Stopped at iteration 2 of 6" in said
    sketch_drawing.take_up(sitting, "en")
    *_, last = sketch.go_on(sitting, "en")
    assert last[0] == drawn[1][-1][0]


def test_resume_after_the_end_draws_as_many_again(thing):
    sitting = sketch_drawing.begin(None)
    list(drawing(thing.picture, sitting, seeds=1, iterations=2))
    sketch_drawing.take_up(sitting, "en")
    list(sketch.go_on(sitting, "en"))
    assert sitting.runs[0].progress.iteration == 4


def test_a_new_drawing_replaces_the_one_in_progress(thing):
    first = sketch_drawing.begin(None)
    stream = drawing(thing.picture, first, iterations=500)
    next(stream)
    second = sketch_drawing.begin(first)
    assert list(stream) == []  # what it would still say is not shown
    assert first.replaced
    assert not second.stopped.is_set()


def test_two_users_at_once_draw_what_each_draws_alone(thing, drawn):
    sittings = [sketch_drawing.begin(None) for _ in range(2)]
    streams = [
        drawing(thing.picture, sittings[0], thing=thing),
        drawing(thing.scene, sittings[1], strokes=3, seeds=1, cut="off"),
    ]
    ends = [None, None]
    threads = [
        threading.Thread(target=lambda i=i: ends.__setitem__(i, list(streams[i])[-1]), daemon=True) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ends[0][0] == drawn[1][-1][0]
    assert paths(ends[1][0]) == 3


def test_a_drawing_gives_others_their_turn_between_moments():
    class Slow:
        def step(self):
            time.sleep(0.01)
            return type("Progress", (), {"finished": False})

    sitting = sketch_drawing.begin(None)
    sitting.draws([Slow()], [])
    stream = sitting.moments()
    started = time.perf_counter()
    next(stream)
    assert time.perf_counter() - started < sketch_drawing.LONGEST_SECONDS + 1
    assert not sketch_drawing._turn.locked()
    assert sketch_drawing.DRAWINGS["concurrency_id"] != MODEL["concurrency_id"]
    assert sketch_drawing._moment_is_over(sketch_drawing.LONGEST_SECONDS, 1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": None}, "no picture yet"),
        ({"source": np.full((40, 40, 3), 255, np.uint8)}, "blank"),
        ({"source": np.zeros((40, 40, 3), np.uint8)}, "blank"),
        ({"strokes": 0}, "Choose from 1 to 64 strokes; this is 0."),
        ({"strokes": 1000}, "Choose from 1 to 64 strokes; this is 1000."),
        ({"strokes": None}, "this is nothing"),
        ({"seeds": 9}, "1 to 4 seeds; this is 9"),
        ({"iterations": 0}, "iterations; this is 0"),
        ({"views": -1}, "0 to 8 random views"),
        ({"pen": (1.0, "octarine")}, "this is none: octarine"),
    ],
)
def test_bad_input_is_one_sentence_and_what_was_drawn_stays(thing, drawn, change, sentence):
    sitting = sketch_drawing.begin(replace(drawn[0]))
    source = change.get("source", thing.picture)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        list(drawing(source, sitting, **{name: value for name, value in change.items() if name != "source"}))
    assert sitting.runs == drawn[0].runs
    assert not sitting.busy
    assert translate(str(caught.value), "zh") != str(caught.value) or str(caught.value) not in COMPLAINTS
    assert f"Done after {STEPS}" in sketch.after_failure(sitting, "en")


def test_complaints_of_a_stream_are_in_the_users_language(thing):
    stream = sketch_drawing.streamed(sketch.draw)
    asked = (thing.picture, 0, "CPU", 1, 5, "saliency", "L_s", 0, "off", WEIGHTS, 1.0, None, "zh", None, None)
    assert inspect.isgeneratorfunction(stream)  # else Gradio shows nothing until the end
    with pytest.raises(gr.Error, match="请在 1 到 64 之间选择笔画数；现为 0"):
        list(stream(*asked))
    assert all("{" not in key or COMPLAINTS[key].count("{}") == key.count("{}") for key in COMPLAINTS)


def test_the_buttons_say_so_where_there_is_nothing_to_do(drawn):
    for press in (sketch_drawing.stop, sketch_drawing.take_up):
        with pytest.raises(ValueError, match=r"Nothing"):
            press(None, "en")
    with pytest.raises(ValueError, match="drawn already"):
        sketch_drawing.take_up(replace(drawn[0], busy=True), "en")
    with pytest.raises(ValueError, match="Nothing has been drawn"):
        sketch_files.write_files(None, "en")
    with pytest.raises(ValueError, match="still being drawn"):
        sketch_files.write_files(replace(drawn[0], busy=True), "en")
    assert [each["interactive"] for each in sketch_drawing.buttons(None)] == [False, False]
    assert [each["interactive"] for each in sketch_drawing.buttons(drawn[0])] == [False, True]
    assert sketch.code_for(None) == ""
    assert sketch.restyle(None, 2.0, None, "en") == (gr.skip(), gr.skip())
    assert "Choose a picture" in sketch.after_failure(None, "en")


def test_without_a_picture_the_toybox_thing_is_drawn(thing):
    picture, kept, sitting, said, stop, resume = sketch.get_ready(None, sketch_kept.THING, None, None, "en")
    assert np.array_equal(picture, thing.picture)
    assert kept.category == thing.category
    assert sitting.busy
    assert "Getting ready" in said
    assert (stop["interactive"], resume["interactive"]) == (True, False)
    for seed in (None, -1, sketch_kept.MOST_SEED + 1):
        with pytest.raises(ValueError, match="number from 0"):
            sketch.get_ready(None, seed, None, None, "en")


def test_the_truth_is_that_of_the_very_picture(thing):
    changed = thing.picture.copy()
    changed[0, 0] ^= 1
    others = (4, "CPU", 1, 5, "saliency", "L_s", 0, "off", WEIGHTS)
    assert sketch_kept.ask(thing.picture, thing, *others).truth == "mug"
    assert sketch_kept.ask(changed, thing, *others).truth == ""


def test_another_pen_needs_no_model(drawn, monkeypatch):
    monkeypatch.setattr("demos.sketch.load", None)
    sitting = replace(drawn[0])
    board, seeds = sketch.restyle(sitting, 2.0, "#D55E00", "en")
    assert board.count('stroke="#d55e00"') == 4
    assert seeds.count("#d55e00") == 8
    before = float(re.search(r'stroke-width="([\d.]+)"', drawn[1][-1][0])[1])
    assert float(re.search(r'stroke-width="([\d.]+)"', board)[1]) == pytest.approx(2 * before)
    assert sketch_show.parse_color("rgba(213.2, 94, 0, 1)") == pytest.approx((213.2 / 255, 94 / 255, 0))


def test_a_replay_is_a_picture_that_draws_itself_and_begins_anew(drawn):
    first, presses = sketch.replay(drawn[0], 0, "en")
    assert "data:image/svg+xml" in first
    assert presses == 1
    assert sketch.replay(drawn[0], presses, "en")[0] != first
    assert sorted(sketch_show.order_of(drawn[0])) == [0, 1, 2, 3]


def test_the_files_are_the_sketch(drawn):
    svg, moving, png, gif, webm = sketch_files.write_files(drawn[0], "en")
    with open(svg, encoding="utf-8") as file:
        assert paths(file.read()) == 4
    with open(moving, encoding="utf-8") as file:
        assert "<animate" in file.read()
    assert Image.open(png).size == (sketch_files.PNG_PIXELS,) * 2
    assert Image.open(gif).n_frames > 10
    with open(webm, "rb") as file:
        assert file.read(4) == b"\x1a\x45\xdf\xa3"  # EBML


def lesson(name, thing, picture=None, **others):
    sitting = sketch_drawing.begin(None)
    asked = {"strokes": 4, "iterations": 3} | others
    shown = list(
        sketch_lessons.compare(
            thing.picture if picture is None else picture,
            asked["strokes"],
            "CPU",
            1,
            asked["iterations"],
            "saliency",
            "L_s + L_g",
            0,
            "off",
            asked.get("weights", WEIGHTS),
            name,
            "en",
            thing,
            sitting,
        )
    )
    return sitting, shown[-1]


def test_the_grid_is_one_batch_whose_fewer_strokes_are_the_first_of_the_many(thing):
    sitting, (html, said, _) = lesson("counts", thing)
    assert len(sitting.runs) == 1
    assert [paths(part) for part in html.split("<figure")[1:]] == [32, 16, 8, 4]
    assert [len(cell.drawn(cell.run.progress)) for cell in sitting.cells] == [32, 16, 8, 4]
    assert "toybox-vit" in said


def test_strokes_that_fill_a_batch_up_change_nothing(thing):
    model = sketch.load(sketch_kept.SYSTEM, WEIGHTS)
    settings = replace(model.presets["CPU"], strokes=6, seeds=1, iterations=4, augmentations=0)
    prepared = model.prepare(thing.picture, settings)
    few = replace(prepared, starts=tuple(each[:4] for each in prepared.starts))
    alone = model.run([few], settings).step(4)
    filled = model.run([sketch_drawing.padded(prepared, 4, 6)], settings).step(4)
    assert filled.strokes[0].points[:4] == pytest.approx(alone.strokes[0].points, abs=0.02)
    assert (filled.strokes[0].points[4:] == sketch_drawing.PADDING_PIXELS).all()


@pytest.mark.parametrize(
    ("name", "count", "sentence"),
    [
        ("losses", 3, "Most like the object"),
        ("starts", 6, "Random: loss"),
        ("views", 2, "the loss fell by"),
        ("backgrounds", 3, "true mask:"),
    ],
)
def test_each_comparison_shows_its_sketches_and_a_verdict_made_of_numbers(thing, name, count, sentence):
    _, (html, said, cost) = lesson(name, thing)
    assert figures(html) == count
    assert sentence in said
    assert len(re.findall(r"[+-]?\d\.\d{3}", said)) >= 2
    assert "likeness" in html
    assert WEIGHTS in cost


def test_the_verdict_says_whether_the_claim_holds():
    found = [sketch_lessons.Outcome(caption=f"{n}", losses=(1, 0.5), likeness=(0, n / 40)) for n in (32, 16, 8, 4)]
    assert "claim holds" in sketch_lessons.verdict("counts", found, "judge", "en")
    assert "does not hold" in sketch_lessons.verdict("counts", found[::-1], "judge", "en")
    assert "judge, which did not draw: 32" in sketch_lessons.verdict("losses", found, "judge", "en")


def test_a_comparison_of_backgrounds_wants_one(thing):
    with pytest.raises(ValueError, match="on white already"):
        lesson("backgrounds", None, picture=thing.picture)


def test_a_vit_draws_without_the_geometric_loss_and_says_so(thing):
    sitting = sketch_drawing.begin(None)
    *_, last = drawing(thing.picture, sitting, seeds=1, iterations=2, weights="toybox-vit")
    assert "no ResNet" in last[3]
    assert "toybox-resnet, which did not draw" in last[3]


def test_a_sentence_becomes_coloured_strokes():
    sitting, *_ = words.get_ready(None, "en")
    *_, (board, _, said, cost) = words.draw_words("a red zebra", 3, 2, True, WEIGHTS, "en", sitting)
    assert len(set(re.findall(r'stroke="(#\w+)"', board))) > 1
    assert "Cosine with “a red zebra”" in said
    assert "never saw" in said
    assert WEIGHTS in cost
    sketch_drawing.take_up(sitting, "en")
    list(words.go_on(sitting, "en"))
    assert sitting.runs[0].progress.iteration == 4
    assert sketch_show.order_of(sitting) == list(range(len(sitting.runs[0].progress.best)))


@pytest.mark.parametrize(("text", "paths"), [("  ", 3), ("a ball", 0), ("a ball", 1000)])
def test_bad_words_are_one_sentence(text, paths):
    with pytest.raises(ValueError, match=r"what is to be drawn|Choose from 1 to 256 strokes"):
        list(words.draw_words(text, paths, 2, False, WEIGHTS, "en", sketch_drawing.begin(None)))


def test_the_copied_python_draws_the_same_sketch(drawn, thing, tmp_path, python):
    path = tmp_path / "picture.png"
    Image.fromarray(thing.picture).save(path)
    code = sketch.code_for(drawn[0]).replace("picture.jpg", str(path)).replace("sketch.svg", str(tmp_path / "s.svg"))
    (tmp_path / "copied.py").write_text("import sys\nsys.path.insert(0, '.')\n" + code)
    finished = python(str(tmp_path / "copied.py"))
    assert finished.returncode == 0, finished.stderr
    progress = drawn[0].runs[0].progress
    loss = float(progress.losses["total"][progress.best_index])
    assert finished.stdout.split() == ["4", str(STEPS), str(round(loss, 3))]


def test_examples_are_shipped_pictures():
    assert len(sketch_inputs.example_paths()) == len(sketch_inputs.SHOWN)


def test_the_tab_is_built_with_one_public_endpoint_outside_the_models_queue():
    with gr.Blocks() as demo:
        sketch.build(gr.State("en"))
    events = demo.get_config_file()["dependencies"]
    public = [event["api_name"] for event in events if event.get("api_visibility") == "public"]
    assert public == ["sketch"]
    assert all(fn.concurrency_id != MODEL["concurrency_id"] for fn in demo.fns.values())
