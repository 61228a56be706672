"""The command line, in a process of its own, with the embedded weights."""

import json

import numpy as np
import trimesh
from PIL import Image

from core.world.picture import picture


def last_json(finished) -> dict:
    return json.loads(finished.stdout.strip().splitlines()[-1])


def test_list_names_every_model_and_where_it_is(python):
    rows = last_json(python("-m", "core", "list", "--json"))["systems"]
    here = {row["weights"]: row["here"] for row in rows}
    assert here["toybox-resnet"]
    assert here["toybox-vit"]
    assert not here["ViT-B-32-quickgelu/openai"]
    assert all("licence" in row["about"] for row in rows)


def test_a_toybox_scene_is_named(python, tmp_path):
    view = picture(12, 200, count=1)
    Image.fromarray(view.rgb).save(tmp_path / "scene.png")
    true = view.scene.things[0].category
    others = [name for name in ("car", "tree", "mug", "bed", "person") if name != true]
    finished = python(
        "-m", "core", "clip", str(tmp_path / "scene.png"), "--labels", ", ".join([*others, true]), "--json",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    result = last_json(finished)["results"][0]
    assert finished.returncode == 0
    assert result["best"] == true
    assert sum(score["probability"] for score in result["scores"]) > 0.999
    assert (tmp_path / "out" / "results.csv").read_text().count("\n") == len(others) + 2


def test_a_mesh_is_named_from_its_views_and_a_broken_one_costs_a_sentence(python, tmp_path):
    trimesh.creation.box().export(tmp_path / "box.ply")
    (tmp_path / "broken.ply").write_text("no mesh")
    finished = python("-m", "core", "pointclip", str(tmp_path), "--labels", "cube, ball", "--json")
    answer = last_json(finished)
    assert finished.returncode == 2
    assert len(answer["results"][0]["by_view"]) == 6
    assert {score["label"] for score in answer["results"][0]["scores"]} == {"cube", "ball"}
    assert "broken.ply" in answer["failed"][0]["input"]


def test_depth_is_written_in_metres_and_in_millimetres(python, tmp_path):
    Image.fromarray(picture(3, 60).rgb).save(tmp_path / "scene.png")
    finished = python("-m", "core", "depthclip", str(tmp_path / "scene.png"), "--json", "--out", str(tmp_path / "out"))
    result = last_json(finished)["results"][0]
    metres = np.load(tmp_path / "out" / "0-scene.npy")
    millimetres = np.asarray(Image.open(tmp_path / "out" / "0-scene.png"))
    assert metres.shape == millimetres.shape == (60, 60)
    assert abs(metres - millimetres / 1000).max() < 0.001
    assert result["nearest_metres"] <= result["mean_metres"] <= result["farthest_metres"]


def test_a_bad_picture_costs_one_sentence_and_the_others_are_answered(python, tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("this is text")
    finished = python(
        "-m", "core", "clip", str(tmp_path / "bad.png"), str(tmp_path / "good.png"), "--labels", "dog", "--json"
    )
    answer = last_json(finished)
    assert finished.returncode == 2
    assert len(answer["results"]) == len(answer["failed"]) == 1
    assert "bad.png" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_no_labels_and_unknown_weights_are_one_sentence(python, tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "good.png")
    for extra in (["--labels", " , "], ["--labels", "dog", "--weights", "nothing"]):
        finished = python("-m", "core", "clip", str(tmp_path / "good.png"), *extra)
        assert finished.returncode == 2
        assert len(finished.stderr.strip().splitlines()) == 1


def test_published_weights_are_not_downloaded_unasked(python, tmp_path):
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "good.png")
    finished = python(
        "-m", "core", "clip", str(tmp_path / "good.png"), "--labels", "dog", "--weights", "ViT-B-32/openai"
    )
    assert finished.returncode == 2
    assert "605 MB" in finished.stderr
    assert "MIT" in finished.stderr
