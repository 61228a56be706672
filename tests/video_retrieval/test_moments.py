"""Moment search from files to seconds: colours in clips whose truth is known by hand."""

import argparse
import csv
import io
import json
import math

import numpy as np
import pytest

from core import media_video
from core.checkpoints import Weights
from core.commands import moments as command
from core.results import Film, Moment, Moments, VideoMoments
from core.video_retrieval.clifs import PatchSettings
from core.video_retrieval.frame_features import FrameSettings
from core.video_retrieval.moments import Decoder, MomentSearch, _Samples
from core.video_retrieval.query import QueryPart, parse_query, query_vector
from core.video_retrieval.spans import moments_in
from core.viz.chapters import moments_csv, moments_json, webvtt
from core.viz.film import boxed, curve_figure, film_strip
from tests.tiny import VIT, tiny_backbone

WEIGHTS = Weights(name="tiny", system="clip", licence="none")
RED, BLUE, GREEN, GREY = (220, 30, 30), (30, 30, 220), (30, 200, 30), (120, 120, 120)


def plain(color: tuple[int, int, int], size: int = 48) -> np.ndarray:
    return np.full((size, size, 3), color, np.uint8)


def write(path, colors):
    """Write a clip that shows each colour for one second, two frames each."""
    frames = np.stack([plain(color) for color in colors for _ in range(2)])
    film = Film(frames=frames, seconds=np.arange(len(frames), dtype=np.float32) / 2)
    return media_video.write_webm(film, path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    damaged = folder / "damaged.mp4"
    damaged.write_bytes(b"no video")
    return {
        "red": write(folder / "red.webm", [BLUE, BLUE, RED, RED, BLUE, BLUE, RED, BLUE]),
        "green": write(folder / "green.webm", [GREY] * 5 + [GREEN] * 2),
        "grey": write(folder / "grey.webm", [GREY] * 3),
        "damaged": damaged,
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory, clips):
    folder = tmp_path_factory.mktemp("kept")
    found = MomentSearch(tiny_backbone(VIT), WEIGHTS, index=str(folder / "index"), cache=folder / "cache")
    report = found.add([clips[name] for name in ("red", "damaged", "green", "grey")], media_video)
    assert [name for name, _ in report.failed] == ["damaged.mp4"]
    assert "is not a video that can be read" in report.failed[0][1]
    assert len(report.added) == 3
    assert not report.cancelled
    return found


def key(model: MomentSearch, name: str) -> str:
    return next(video for video, facts in model.videos().items() if facts.name == name)


def test_a_picture_lands_on_the_right_seconds_of_the_right_video(model):
    found = model.search([QueryPart(picture=plain(GREEN))], cut=0.9)
    assert [video.name for video in found.videos] == ["green.webm"]
    (moment,) = found.videos[0].moments
    assert (moment.start_seconds, moment.end_seconds) == pytest.approx((5, 7), abs=0.01)
    assert found.videos[0].seconds == pytest.approx(7, abs=0.01)
    assert moment.box_xyxy == (0, 0, 48, 48)
    assert found.threshold == pytest.approx(found.typical + 0.9 * (moment.score - found.typical))
    assert found.stands_out == pytest.approx((moment.score - found.typical) / found.spread)


def test_the_curve_has_a_score_for_every_second_and_two_stretches_are_two_moments(model):
    found = model.search([QueryPart(picture=plain(RED))], cut=0.9, videos=[key(model, "red.webm")])
    (video,) = found.videos
    assert video.curve_seconds == pytest.approx(range(8), abs=0.01)
    assert set(np.argsort(-video.curve_scores)[:3]) == {2, 3, 6}
    spans = sorted((moment.start_seconds, moment.end_seconds) for moment in video.moments)
    assert spans == [pytest.approx((2, 4), abs=0.01), pytest.approx((6, 7), abs=0.01)]
    assert {(video.size_hw, video.path.endswith("red.webm"))} == {((48, 48), True)}


def test_windows_smooth_over_time(model):
    found = model.search([QueryPart(picture=plain(RED))], kind="windows", cut=0.9)
    best = found.videos[0].moments[0]
    assert found.videos[0].name == "red.webm"
    assert best.end_seconds - best.start_seconds >= 4
    assert best.start_seconds <= 2 < 4 <= best.end_seconds + 0.01
    assert 2 <= best.peak_seconds <= 4  # the middle of the window


def test_a_minus_takes_away_what_a_plus_brings(model):
    backbone = model.backbone
    red, blue = (backbone.encode_images([plain(color)])[0].numpy() for color in (RED, BLUE))
    parts = [QueryPart(picture=plain(RED)), QueryPart(picture=plain(BLUE), weight=-0.5)]
    vector = query_vector(backbone, parts)
    want = red - 0.5 * blue
    assert vector == pytest.approx(want / np.linalg.norm(want), abs=1e-5)
    assert vector @ blue < red @ blue
    mixed = query_vector(backbone, [QueryPart(picture=plain(RED)), QueryPart(text="a car", weight=2)])
    text = backbone.encode_texts(["a car"])[0].numpy()
    assert mixed == pytest.approx((red + 2 * text) / np.linalg.norm(red + 2 * text), abs=1e-5)


def test_a_text_gives_the_cosines_of_its_frames(model):
    found = model.search(parse_query("a red car"), cut=0, videos=[key(model, "red.webm")])
    text = model.backbone.encode_texts(["a red car"])[0].numpy()
    frames = [picture for _, _, picture in media_video.frame_spans(found.videos[0].path, 1.0)]
    want = model.backbone.encode_images(frames).numpy() @ text
    assert found.videos[0].curve_scores == pytest.approx(want, abs=2e-3)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a dog", [("a dog", 1)]),
        ("a dog + snow - 0.5 * people", [("a dog", 1), ("snow", 1), ("people", -0.5)]),
        ("- rain + 2*a well-lit street", [("rain", -1), ("a well-lit street", 2)]),
        ("black-and-white film", [("black-and-white film", 1)]),
    ],
)
def test_a_query_is_read_with_its_signs_and_weights(text, parts):
    assert [(part.text, part.weight) for part in parse_query(text)] == parts


@pytest.mark.parametrize("text", ["", "  ", "+ ", "- "])
def test_an_empty_query_is_refused(text):
    with pytest.raises(ValueError, match="Write what to look for"):
        parse_query(text)


def test_parts_that_say_nothing_are_refused(model):
    with pytest.raises(ValueError, match="Write what to look for"):
        model.search([])
    with pytest.raises(ValueError, match="cancel each other out"):
        model.search([QueryPart(text="a cat"), QueryPart(text="a cat", weight=-1)])
    with pytest.raises(ValueError, match="both or neither"):
        QueryPart(text=" ")
    with pytest.raises(ValueError, match="finite weight"):
        QueryPart(text="a", weight=math.inf)


def test_bad_questions_are_said_in_one_sentence(model, tmp_path):
    part = [QueryPart(text="a")]
    with pytest.raises(ValueError, match="wanted one of frames, windows, patches"):
        model.search(part, kind="shots")
    with pytest.raises(ValueError, match="a cut from 0 to 1"):
        model.search(part, cut=2)
    with pytest.raises(ValueError, match="added without patches"):
        model.search(part, kind="patches")
    with pytest.raises(ValueError, match="no videos to search in"):
        model.search(part, videos=["nothing"])
    with pytest.raises(ValueError, match="There is no video nothing"):
        model.remove("nothing")
    empty = MomentSearch(model.backbone, WEIGHTS, index=str(tmp_path / "index"), cache=tmp_path)
    with pytest.raises(ValueError, match="no videos to search in"):
        empty.search(part)


def test_patches_find_a_small_thing_and_where_it_is(model, tmp_path):
    frames = np.stack([plain(GREY, 96)] * 6)
    frames[4:, 48:, 48:] = GREEN
    path = media_video.write_webm(
        Film(frames=frames, seconds=np.arange(6, dtype=np.float32) / 2), tmp_path / "small.webm"
    )
    patches = FrameSettings(patches=True, patch=PatchSettings(side=48, step=24))
    own = MomentSearch(model.backbone, WEIGHTS, index=str(tmp_path / "index"), cache=tmp_path / "cache")
    own.add([path], media_video, settings=patches)
    query = [QueryPart(picture=plain(GREEN))]
    by_patch = own.search(query, kind="patches", cut=0.9).videos[0]
    assert by_patch.moments[0].box_xyxy == (48, 48, 96, 96)
    assert by_patch.moments[0].start_seconds == pytest.approx(2, abs=0.01)
    assert len(by_patch.curve_seconds) == 3
    assert by_patch.best > own.search(query).videos[0].best
    drawn = boxed(plain(GREY, 96), by_patch.moments[0].box_xyxy)
    changed = np.argwhere((drawn != GREY[0]).any(axis=2))
    assert changed.min() >= 46
    assert (plain(GREY, 96) == GREY[0]).all()


def test_a_video_that_is_in_already_costs_nothing_and_a_removed_one_is_gone(model, clips):
    before = model.videos()
    report = model.add([clips["grey"], clips["grey"]], media_video)
    assert (report.added, report.already) == ((), (key(model, "grey.webm"),))
    grey = key(model, "grey.webm")
    model.remove(grey)
    assert set(before) - set(model.videos()) == {grey}
    assert model.add([clips["grey"]], media_video).added == (grey,)
    assert model.videos() == before


def test_progress_tells_film_done_and_time_left(model, clips, tmp_path):
    own = MomentSearch(model.backbone, WEIGHTS, index=str(tmp_path / "index"), cache=tmp_path / "cache")
    steps = []
    own.add([clips["red"], clips["grey"]], media_video, progress=steps.append)
    assert [step.seconds_done for step in steps] == sorted(step.seconds_done for step in steps)
    assert {(step.video, step.videos, step.name) for step in steps} == {(0, 2, "red.webm"), (1, 2, "grey.webm")}
    assert steps[0].eta_seconds is None
    assert steps[-1].eta_seconds == pytest.approx(0, abs=1e-6)
    assert steps[-1].seconds_done == pytest.approx(steps[-1].seconds_all)


def test_a_cancel_keeps_what_was_added_and_gives_up_the_rest(model, clips, tmp_path):
    own = MomentSearch(model.backbone, WEIGHTS, index=str(tmp_path / "index"), cache=tmp_path / "cache")
    report = own.add(
        [clips["red"], clips["green"], clips["grey"]], media_video, cancelled=lambda: len(own.videos()) == 1
    )
    assert report.cancelled
    assert len(report.added) == 1
    assert set(own.videos()) == set(report.added)
    assert own.index.count("frames") == 8


def test_a_video_that_breaks_half_way_leaves_no_trace(model, clips, tmp_path):
    class Broken:
        video_facts = staticmethod(media_video.video_facts)

        @staticmethod
        def frame_spans(path, step_seconds):
            for number, span in enumerate(media_video.frame_spans(path, step_seconds)):
                if path.name == "red.webm" and number == 3:
                    raise ValueError("red.webm is damaged or cut off after 2.5 s.")
                yield span

    own = MomentSearch(model.backbone, WEIGHTS, index=str(tmp_path / "index"), cache=tmp_path / "cache")
    report = own.add([clips["red"], clips["grey"]], Broken())
    assert report.failed == (("red.webm", "red.webm is damaged or cut off after 2.5 s."),)
    assert {facts.name for facts in own.videos().values()} == {"grey.webm"}
    assert own.index.count("frames") == 3


def test_the_decoder_of_the_project_is_one():
    assert isinstance(media_video, Decoder)


def test_stretches_that_nearly_touch_are_one_and_boxes_are_the_peaks():
    starts = np.array([0, 1, 2, 5, 9], np.float32)
    boxes = np.arange(20, dtype=np.float32).reshape(5, 4)
    scores = np.array([0.5, 0.1, 0.6, 0.2, 0.9], np.float32)
    found = moments_in(starts, starts + 1, scores, boxes, 0.3)
    assert [(moment.start_seconds, moment.end_seconds, moment.peak_seconds) for moment in found] == [
        (9, 10, 9),
        (0, 3, 2),
    ]
    assert found[1].box_xyxy == (8, 9, 10, 11)
    assert moments_in(starts, starts + 1, scores, boxes, 2.0) == ()


def test_samples_lie_evenly_however_long_the_stream():
    samples = _Samples()
    for number in range(1000):
        samples.add(np.full((1, 2), number, np.float32))
    found = samples.vectors()[:, 0]
    assert found[0] == 0
    assert len(found) == 8
    assert found[-1] > 800


def moments() -> Moments:
    whole = Moment(start_seconds=1, end_seconds=3.5, peak_seconds=2, score=0.3, box_xyxy=(0, 0, 4, 3))
    long = Moment(start_seconds=3661.0004, end_seconds=3662, peak_seconds=3661.0004, score=0.4, box_xyxy=(1, 1, 2, 2))
    video = VideoMoments(
        video="key",
        name='a, "clip".mp4',
        path="a",
        seconds=4000,
        size_hw=(3, 4),
        curve_seconds=np.array([1, 2], np.float32),
        curve_scores=np.array([0.1, 0.2], np.float32),
        moments=(long, whole),
    )
    return Moments(query="dog", kind="frames", videos=(video,), typical=0.1, spread=0.1, threshold=0.25)


def test_moments_are_exported_as_a_table_json_and_chapters():
    found = moments()
    rows = list(csv.DictReader(io.StringIO(moments_csv(found))))
    assert [(row["video"], row["start_seconds"]) for row in rows] == [
        ('a, "clip".mp4', "3661.000"),
        ('a, "clip".mp4', "1.000"),
    ]
    values = json.loads(moments_json(found))
    assert values["videos"][0]["moments"][1]["end_seconds"] == 3.5
    assert values["stands_out"] == pytest.approx(3)
    assert webvtt(found.videos[0], "a --> <b>\n\ndog & cat") == (
        "WEBVTT\n\n"
        "1\n00:00:01.000 --> 00:00:03.500\na &lt;b&gt; dog &amp; cat (0.300)\n\n"
        "2\n01:01:01.000 --> 01:01:02.000\na &lt;b&gt; dog &amp; cat (0.400)\n"
    )


def test_a_moment_and_a_curve_check_themselves():
    with pytest.raises(ValueError, match="start <= peak <= end"):
        Moment(start_seconds=2, end_seconds=1, peak_seconds=2, score=0, box_xyxy=(0, 0, 1, 1))
    with pytest.raises(ValueError, match="a score for each second"):
        VideoMoments(
            video="",
            name="",
            path="",
            seconds=1,
            size_hw=(1, 1),
            curve_seconds=np.zeros(2, np.float32),
            curve_scores=np.zeros(3, np.float32),
            moments=(),
        )


def test_the_strip_shows_every_frame_and_the_brightest_bar_under_the_best():
    film = Film(frames=np.stack([plain(RED), plain(BLUE)]), seconds=np.array([0, 1], np.float32))
    strip = film_strip(film, np.array([0.1, 0.3], np.float32), height=48)
    assert strip.shape == (58, 99, 3)
    assert tuple(strip[20, 20]) == RED
    assert tuple(strip[20, 80]) == BLUE
    assert strip[55, 80].sum() > strip[55, 20].sum()
    assert film_strip(film, height=24).shape == (24, 51, 3)
    with pytest.raises(ValueError, match="a score for each of 2 frames, got 1"):
        film_strip(film, np.zeros(1, np.float32))


def test_the_curve_shows_threshold_and_moments():
    times = np.arange(3, dtype=np.float32)
    figure = curve_figure(times, times, [(0, 1)], threshold=0.5, title="a < b", axes=("time", "score"))
    assert len(figure.layout.shapes) == 2
    assert figure.data[0].y.tolist() == [0, 1, 2]


def test_the_command_answers_each_query_and_writes_three_kinds_of_file(model, clips, tmp_path, monkeypatch):
    monkeypatch.setattr(command.registry, "load", lambda *_, **__: model)
    arguments = argparse.Namespace(
        labels="a red car, a cat", weights=None, download=False, inputs=[str(clips["red"].parent)]
    )
    failed: list[tuple[str, str]] = []
    found = list(command.answers(arguments, failed))
    assert [result["input"] for result in found] == ["a red car", "a cat"]
    assert [name for name, _ in failed] == ["damaged.mp4"]
    assert command.lines(found[0])[0] == "a red car  (tiny)"
    assert "cosine" in command.lines(found[0])[1]
    command.write(tmp_path, found)
    assert (tmp_path / "moments.csv").read_text().count("query,video") == 1
    assert len(json.loads((tmp_path / "moments.json").read_text())) == 2
    assert next(tmp_path.glob("*-1.vtt")).read_text().startswith("WEBVTT")
