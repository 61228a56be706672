"""What the video tab answers, without a browser."""

import csv
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from core import registry
from core.video_retrieval import index
from demos import text, video_kept, video_lessons, video_retrieval

WEIGHTS, HEADS_OF = "toybox-resnet", "toybox-clip4clip"
CLIPS = 3


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIP_FAMILY_INDEX", str(tmp_path_factory.mktemp("index")))
        patch.setenv("CLIP_FAMILY_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(video_kept, "TOY_CLIPS", CLIPS)
        patch.setattr(video_kept, "TOY_PIXELS", 64)
        yield


@pytest.fixture(scope="module")
def toys(home):
    return video_retrieval.take_toys(None, "en")[0]


def ask(library, files=None, query="a red ball", picture=None, weight=0.5, kind="frames", cut=0.5, language="en"):
    steps = list(video_retrieval.answer(library, files, query, picture, weight, kind, cut, WEIGHTS, language))
    return steps[-1]


@pytest.fixture(scope="module")
def answered(toys):
    return ask(toys)


def test_the_limits_are_told_before_anything_is_given():
    from core.media_video import LIMITS

    assert (LIMITS.longest_seconds, LIMITS.largest_bytes) == (2 * 3600, 4_000_000_000)
    for key in ("vid_nothing_yet", "act_nothing_yet"):
        assert "at most 2 hours and 4 GB" in text.say("en", key)


def test_what_can_be_chosen_is_what_the_models_have():
    assert video_kept.KINDS == index.KINDS
    assert set(video_lessons.HEADS) <= set(registry.load("clip4clip", HEADS_OF).heads)


def test_a_search_fills_the_gallery_the_words_and_the_cost(answered):
    library, found, pictures, said, cost = answered
    assert len(library.keys) == CLIPS
    assert len(pictures) == len(found.shown()) <= video_kept.MOST_SHOWN
    assert pictures[0][0].shape[2] == 3
    best = [video.best for video in found.moments.videos]
    assert best == sorted(best, reverse=True)
    assert any(sentence in said for sentence in library.truth.values())
    assert WEIGHTS in cost


def test_another_cut_or_kind_looks_at_no_frame(answered, monkeypatch):
    library, found = answered[:2]

    def refuse(*_arguments, **_settings):
        raise AssertionError("a second look")

    monkeypatch.setattr(registry.load("moments", WEIGHTS), "add", refuse)
    loose = video_retrieval.answer_again(library, found, "a red ball", None, 0.5, "frames", 0.0, "en")[0]
    strict = video_retrieval.answer_again(library, found, "a red ball", None, 0.5, "frames", 1.0, "en")[0]
    assert len(loose.rows()) >= len(strict.rows()) > 0
    windows = video_retrieval.answer_again(library, found, "a red ball", None, 0.5, "windows", 0.5, "en")[0]
    assert windows.moments.kind == "windows"
    untouched = video_retrieval.answer_again(None, None, "x", None, 0.5, "frames", 0.5, "en")
    assert all(value == gr.skip() for value in untouched)


def test_patches_say_where(answered):
    found = ask(answered[0], kind="patches")[1]
    video, moment = found.rows()[0]
    height, width = video.size_hw
    left, top, right, bottom = moment.box_xyxy
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) * (bottom - top) < height * width


def test_the_player_goes_to_the_moment(answered):
    found = answered[1]
    player, curve = video_retrieval.play(found, 0, "en")
    assert player["value"] == found.shown()[0][0].path
    assert curve["visible"]
    assert video_retrieval.seek(found, 0)["playback_position"] == found.shown()[0][1].start_seconds
    assert video_retrieval.seek(found, 10_000)["playback_position"] == found.shown()[-1][1].start_seconds
    assert video_retrieval.play(None, 0, "en") == (gr.skip(), gr.skip())
    assert video_retrieval.seek(None, 0) == gr.skip()


def test_a_damaged_clip_is_named_and_the_others_are_found(toys, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video")
    library, found, _, said, _ = ask(toys, files=[str(broken)])
    assert "broken.mp4" in said
    assert found.rows()
    assert len(library.keys) == CLIPS


def test_a_visitor_finds_own_clips_only(answered):
    library = answered[0]
    alone = video_kept.Library(paths=library.paths[:1], keys=library.keys[:1], weights=WEIGHTS)
    found = video_kept.search(alone, "a red ball", None, 0.5, "frames", 0.5)
    assert {Path(video.path).name for video, _ in found.rows()} == {Path(library.paths[0]).name}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"library": None}, "no clips yet"),
        ({"query": " "}, "Write what to look for"),
        ({"library": None, "files": ["no-such.mp4"]}, "None of these clips"),
        ({"files": [f"{number}.mp4" for number in range(video_kept.MOST_CLIPS + 1)]}, "at most 200 clips"),
    ],
)
def test_bad_input_is_one_sentence(toys, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(**({"library": toys} | change))


def test_clips_are_ranked_for_a_sentence_and_mean_pooling_says_that_it_is_blind(answered):
    seen, pictures, said, cost = video_lessons.rank_clips(
        answered[0], None, "a ball rising", "meanP", False, HEADS_OF, "en"
    )
    assert len(pictures) == CLIPS
    assert said
    assert HEADS_OF in cost
    _, backwards, again, _ = video_lessons.rank_clips(
        answered[0], seen, "a ball rising", "seqTransf", True, HEADS_OF, "en"
    )
    assert len(backwards) == CLIPS
    assert again == ""


def test_another_sentence_head_or_direction_looks_at_no_clip_again(answered, monkeypatch, tmp_path):
    library = answered[0]
    seen = video_kept.look(library.paths, None, HEADS_OF)

    def refuse(*_arguments, **_settings):
        raise AssertionError("a second look")

    monkeypatch.setattr(video_kept, "frames_of", refuse)
    for head, backwards in (("seqTransf", False), ("tightTransf", True)):
        assert video_lessons.rank_clips(library, seen, "a cube", head, backwards, HEADS_OF, "en")[0].names == seen.names
    assert video_lessons.compare_heads(library, seen, "a cube", HEADS_OF, "en")[0].names == seen.names
    assert video_kept.look(library.paths[:1], seen, HEADS_OF).names == seen.names[:1]
    with pytest.raises(AssertionError, match="a second look"):
        video_kept.look(library.paths, seen, "toybox-resnet")


def test_moments_stand_video_by_video_with_the_clips_name(answered):
    found = answered[1]
    owners = [video.name for video, _ in found.shown()]
    assert owners == sorted(owners, key=[video.name for video in found.moments.videos].index)
    assert max(map(owners.count, owners)) <= video_kept.MOST_OF_ONE
    assert all(Path(name).stem in caption for name, (_, caption) in zip(owners, answered[2], strict=True))


def test_a_clip_taken_out_of_the_uploads_is_not_searched_any_more(toys, tmp_path):
    mine = tmp_path / "mine.webm"
    mine.write_bytes(Path(toys.paths[0]).read_bytes() + bytes(9))  # another file to the index
    library = ask(toys, files=[str(mine)])[0]
    assert len(library.keys) == CLIPS + 1
    left, found, *_ = ask(library, files=[])
    assert left.paths == toys.paths
    assert str(mine) not in {video.path for video in found.moments.videos}


def test_heads_stand_side_by_side_and_the_strip_shows_every_frame(answered):
    seen, table = video_lessons.compare_heads(answered[0], None, "a ball rising", HEADS_OF, "en")
    assert all(head in table for head in video_lessons.HEADS)
    _, strip = video_lessons.best_strip(answered[0], seen, "a ball rising", "seqTransf", HEADS_OF, "en")
    assert strip.dtype == np.uint8
    assert strip.shape[1] > strip.shape[0]


def test_moments_are_written_as_csv_json_and_chapters(answered):
    found = answered[1]
    paths = {Path(path).name: Path(path) for path in video_lessons.write_files(found, "en")}
    with paths["moments.csv"].open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(found.rows())
    assert json.loads(paths["moments.json"].read_text("utf-8"))
    chapters = [path for name, path in paths.items() if name.endswith(".vtt")]
    assert len(chapters) == len(found.moments.videos)
    assert chapters[0].read_text("utf-8").startswith("WEBVTT")
    with pytest.raises(gr.Error, match="请先搜索"):
        video_retrieval.guarded(video_lessons.write_files)(None, "zh")


def test_the_python_on_show_finds_the_moments_on_show(answered, monkeypatch, capsys):
    library, found = answered[:2]
    monkeypatch.chdir(Path(library.paths[0]).parent)
    exec(video_lessons.as_python(found), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found.rows())
    assert video_lessons.as_python(None) == ""
