"""Boxes and outlines of a COCO file are read as they lie, and what is wrong with a file is one sentence."""

import json

import numpy as np
import pytest

from core.train.coco import annotated
from tests.train.annotated import coco_folder


def test_boxes_and_outlines_follow_their_picture_when_it_is_made_smaller(tmp_path):
    found = annotated(str(coco_folder(tmp_path)), longest=48, outlines=True)
    assert found.names == ("red square", "blue square")
    assert len(found.train) + len(found.test) == found.report.read == 12
    assert len(found.test) == 1
    for one in found.train:
        assert one.rgb.shape == (32, 48, 3)
        (x0, y0, x1, y1), mask = one.boxes[0], one.masks[0]
        rows, columns = np.nonzero(mask)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(edges, (x0, y0, x1, y1), atol=1.0)
        inside = one.rgb[mask].mean(0)
        assert (inside[0] > inside[2]) == (one.kinds == ("red square",))


def test_a_small_picture_stays_as_it_is_for_boxes_and_is_brought_up_for_outlines(tmp_path):
    source = str(coco_folder(tmp_path))
    assert annotated(source, longest=200).train[0].rgb.shape == (64, 96, 3)
    assert annotated(source, longest=192, outlines=True).train[0].rgb.shape == (128, 192, 3)


def test_run_lengths_are_outlines_too(tmp_path):
    path = coco_folder(tmp_path, 2)
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = {"size": [64, 96], "counts": [64 * 48, 64 * 48]}  # the right half
    path.write_text(json.dumps(content))
    found = annotated(str(path), longest=96, outlines=True)
    masks = [one.masks[0] for one in (*found.train, *found.test)]
    assert any(mask[:, 48:].all() and not mask[:, :48].any() for mask in masks)


def test_what_cannot_be_read_is_left_out_and_counted(tmp_path):
    path = coco_folder(tmp_path)
    (tmp_path / "0.png").write_bytes(b"no picture")
    (tmp_path / "1.png").unlink()
    content = json.loads(path.read_text())
    content["annotations"][2]["bbox"] = [0, 0, 0, 5]
    content["annotations"][3]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    report = annotated(str(tmp_path), longest=64).report
    assert (report.read, report.skipped) == (8, 2)
    assert report.reasons == ("0.png: not a picture, or damaged", "1.png: there is no such file")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content.pop("categories"), "is not a COCO file with boxes"),
        (lambda content: content.update(images=5), "is not a COCO file with boxes"),
        (lambda content: content.update(annotations=[]), "No picture of notes.json has"),
        (lambda content: [note.pop("segmentation") for note in content["annotations"]], "has an outline"),
        (lambda content: content.update(annotations=content["annotations"][:1]), "There is one picture with something"),
    ],
)
def test_a_file_that_teaches_nothing_is_one_sentence(tmp_path, change, sentence):
    path = coco_folder(tmp_path, 3)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence) as caught:
        annotated(str(path), longest=64, outlines=True)
    assert str(caught.value).count(".") <= 2 + path.name.count(".")


def test_pictures_that_are_all_missing_are_one_sentence(tmp_path):
    path = coco_folder(tmp_path, 3)
    for picture in tmp_path.glob("*.png"):
        picture.unlink()
    with pytest.raises(ValueError, match=r"None of the 3 pictures that notes\.json names can be read"):
        annotated(str(path), longest=64)


@pytest.mark.parametrize("name", ["nothing", "table.csv"])
def test_a_source_that_holds_no_coco_file_is_one_sentence(tmp_path, name):
    (tmp_path / "table.csv").write_text("a,b")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="Wanted a COCO JSON with boxes"):
        annotated(str(tmp_path / name), longest=64)
