"""Whatever people keep their pictures in is read, and what is wrong with it is one sentence."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from core.train import parquet as parquet_source
from core.train.photos import decode, photographs
from core.train.sources import items_of


def picture(shade: int = 90) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (20, 16), (shade, shade, shade)).save(data, "png")
    return data.getvalue()


def put(path: Path, data: bytes | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture() if data is None else data)
    return path


def read(source, **options):
    return photographs(str(source), context_length=20, downloads=Path(), **options)


def test_unreadable_files_are_skipped_counted_and_named(tmp_path):
    for i in range(4):
        put(tmp_path / "cat" / f"{i}.png")
    put(tmp_path / "cat" / "broken.png", b"no picture")
    put(tmp_path / "cat" / "cut.png", picture()[:40])
    report = read(tmp_path).report
    assert (report.read, report.skipped) == (4, 2)
    assert sorted(reason.partition(":")[0] for reason in report.reasons) == ["cat/broken.png", "cat/cut.png"]
    assert report.sentence().startswith("2 pictures could not be read")
    assert report.card()["skipped"] == 2


def test_pictures_come_in_the_size_that_was_asked_for(tmp_path):
    for i in range(4):
        put(tmp_path / "cat" / f"{i}.png")
    assert read(tmp_path, pixels=48).train.pictures.shape == (3, 48, 48, 3)


def test_the_last_of_a_small_class_is_held_back(tmp_path):
    for name, count in (("cat", 3), ("dog", 1), ("owl", 12)):
        for i in range(count):
            put(tmp_path / name / f"{i:02}.png")
    found = read(tmp_path)
    assert [found.test.names[i] for i in found.test.classes] == ["cat", "owl"]
    assert len(found.train) == 14


def test_names_that_are_no_utf8_are_read_as_latin(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/1.png", "wb") as file:
        file.write(picture())
    assert [item.kind for item in items_of(str(tmp_path))] == ["café"]
    assert read(tmp_path).report.read == 1


def test_names_in_a_zip_without_an_encoding_are_tried_as_utf8(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("XXX/1.png", picture())
        archive.writestr("YYY/1.png", picture())
    raw = (tmp_path / "a.zip").read_bytes().replace(b"XXX", "猫".encode()).replace(b"YYY", b"\x82\x82\x82")
    (tmp_path / "a.zip").write_bytes(raw)
    assert sorted(item.kind for item in items_of(str(tmp_path / "a.zip"))) == ["ééé", "猫"]


def test_folders_that_mean_the_same_words_are_one_class(tmp_path):
    put(tmp_path / "golden_retriever" / "1.png")
    put(tmp_path / "golden retriever" / "1.png")
    put(tmp_path / ".thumbnails" / "1.png")
    put(tmp_path / "__MACOSX" / "golden_retriever" / "._1.png")
    found = items_of(str(tmp_path))
    assert [item.kind for item in found] == ["golden retriever"] * 2
    assert read(tmp_path).report.read == 2


@pytest.mark.parametrize(
    "text",
    [
        "a.png,a cat\nb.png,a dog\n",
        "path,caption\na.png,a cat\nb.png,a dog\n",
        "\ufefftitle;filepath\na cat;a.png\na dog;b.png\n",
        "Image\tText\na.png\ta cat\nb.png\ta dog\n",
    ],
    ids=["no header", "header", "semicolons, mark, other order", "tabs"],
)
def test_a_table_may_be_written_in_many_ways(tmp_path, text):
    table = tmp_path / "t.csv"
    table.write_text(text, "utf-8")
    assert [(item.name, item.captions) for item in items_of(str(table))] == [
        ("a.png", ("a cat",)),
        ("b.png", ("a dog",)),
    ]


def test_a_picture_on_two_lines_has_two_captions(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "b.png")
    table = tmp_path / "t.csv"
    table.write_bytes("a.png,a cat\na.png,ein Kätzchen\nb.png,a dog\ngone.png,nothing\n".encode("latin-1"))
    found = read(table)
    assert found.train.tokens.shape[:2] == (2, 2)
    assert not np.array_equal(found.train.tokens[0, 0], found.train.tokens[0, 1])
    assert found.report.reasons == ("gone.png: there is no such file",)


def coco(**more) -> dict:
    return {"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], **more}


def test_coco_captions_belong_to_their_pictures(tmp_path):
    put(tmp_path / "val2017" / "a.png")
    put(tmp_path / "val2017" / "b.png")
    notes = [{"image_id": 1, "caption": "one"}, {"image_id": 1, "caption": "uno"}, {"image_id": 2, "caption": "two"}]
    path = put(tmp_path / "annotations" / "captions_val2017.json", json.dumps(coco(annotations=notes)).encode())
    assert [item.captions for item in items_of(str(path))] == [("one", "uno"), ("two",)]
    assert read(path).report.read == 2


def test_coco_categories_become_sentences_and_single_ones_a_class(tmp_path):
    names = [{"id": 7, "name": "apple"}, {"id": 8, "name": "dog"}]
    notes = [{"image_id": 1, "category_id": 7}, {"image_id": 1, "category_id": 8}, {"image_id": 2, "category_id": 8}]
    path = put(tmp_path / "i.json", json.dumps(coco(annotations=notes, categories=names)).encode())
    first, second = items_of(str(path))
    assert (first.captions, first.kind) == (("a photo of an apple and a dog.",), None)
    assert second.kind == "dog"


def features(**columns) -> dict:
    return {b"huggingface": json.dumps({"info": {"features": columns}}).encode()}


def test_a_parquet_file_of_the_hub_gives_classes_their_names(tmp_path):
    pictures = [{"bytes": picture(), "path": None}] * 2
    table = pyarrow.table({"img": pictures, "label": [1, 0]})
    about = features(img={"_type": "Image"}, label={"_type": "ClassLabel", "names": ["cat", "sea_horse"]})
    parquet.write_table(table.replace_schema_metadata(about), tmp_path / "a.parquet")
    assert [item.kind for item in items_of(str(tmp_path / "a.parquet"))] == ["sea horse", "cat"]
    assert read(tmp_path / "a.parquet").report.read == 2


def test_a_data_set_of_the_hub_is_downloaded_by_its_split(tmp_path, monkeypatch):
    table = pyarrow.table({"image": [{"bytes": picture(), "path": None}], "text": [["one", "two"]]})
    parquet.write_table(table, tmp_path / "0.parquet")
    listed = ["default/test/0.parquet", "default/train/0.parquet", "other/train/0.parquet"]
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", lambda *_, **__: listed)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(tmp_path / "0.parquet"))
    assert [item.split for item in items_of("hf:someone/pictures")] == ["test", "train"]
    (only,) = items_of("hf:someone/pictures:test")
    assert only.captions == ("one", "two")


def test_a_hub_that_cannot_be_reached_is_a_sentence():
    with pytest.raises(ValueError, match="cannot be had from the hub"):
        parquet_source.hub_items("nobody/nothing")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", b"[]", "not a COCO file"),
        ("a.json", b'{"images": [{"id": 1, "file_name": "a"}], "annotations": []}', "No picture of a.json has"),
        ("a.csv", b"", "Wanted a table with the columns path and caption"),
        ("a.csv", b"path,caption\na.png,\n", "No line of a.csv has a path and a caption"),
        ("a.parquet", b"no", "not a parquet file"),
        ("a.zip", b"no", "neither a folder, a zip file nor a table"),
    ],
)
def test_a_source_that_is_something_else_is_a_sentence(tmp_path, name, content, sentence):
    with pytest.raises(ValueError, match=sentence):
        items_of(str(put(tmp_path / name, content)))


def test_a_picture_is_turned_as_its_camera_says_and_cut_to_a_square():
    image = Image.new("RGB", (40, 20), "black")
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise: what was left is then above
    data = io.BytesIO()
    image.save(data, "jpeg", exif=exif)
    turned = decode(data.getvalue(), 20)
    assert turned.shape == (20, 20, 3)
    assert turned[2].mean() > 200 > 60 > turned[-3].mean()
