"""Photographs to train on: by their folder, by a table, or CIFAR-10 as its authors pack it."""

import hashlib
import io
import pickle
import tarfile
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from core.train.data import tokenise
from core.train.photos import read_photos


def grey(path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (shade, shade, shade)).save(path)


def read(source, downloads):
    return read_photos(str(source), context_length=20, downloads=downloads)


def test_photographs_are_named_by_their_folder(tmp_path):
    for split, name, shade in (("train", "cat", 10), ("train", "dog", 200), ("test", "cat", 90)):
        grey(tmp_path / split / name / "1.png", shade)
    train, test = read(tmp_path, tmp_path)
    assert train.names == ("cat", "dog")
    assert train.classes.tolist() == [0, 1]
    assert train.pictures[1].mean() == pytest.approx(200)
    assert test.pictures.mean() == pytest.approx(90)
    assert (train.tokens[0] == tokenise(["a photo of a kitten."], 20)).all(1).any()


def test_without_test_photographs_every_tenth_is_held_back(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for i in range(20):
            data = io.BytesIO()
            Image.new("RGB", (8, 8), (i, i, i)).save(data, "png")
            archive.writestr(f"all/cat/{i:02}.png", data.getvalue())
    train, test = read(tmp_path / "photos.zip", tmp_path)
    assert test.pictures[:, 0, 0, 0].tolist() == [9, 19]
    assert len(train) == 18


def test_a_table_gives_each_picture_its_own_caption(tmp_path, caplog):
    grey(tmp_path / "a.png", 10)
    grey(tmp_path / "more" / "b.png", 20)
    table = tmp_path / "captions.csv"
    table.write_text("path,caption\na.png,a dark square\nmore/b.png,a lighter square\ngone.png,nothing\n")
    train, test = read(table, tmp_path)
    assert (len(train), len(test)) == (2, 0)
    assert np.array_equal(train.tokens[:, 0], tokenise(["a dark square", "a lighter square"], 20))
    assert train.classes.tolist() == [-1, -1]
    assert "1 pictures could not be read" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty", None, "found none"),
        ("broken.zip", "no zip", "neither a folder"),
        ("columns.csv", "one,two\na,b\n", "columns path and caption"),
        ("gone.csv", "path,caption\na.png,b\n", "None of the 1 pictures"),
    ],
)
def test_a_source_without_pictures_is_one_sentence(tmp_path, name, content, sentence):
    source = tmp_path / name
    source.mkdir() if content is None else source.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read(source, tmp_path)
    with pytest.raises(ValueError, match="no file or folder"):
        read(tmp_path / "elsewhere", tmp_path)


def packed(folder) -> bytes:
    """Return an archive laid out as CIFAR-10's, with two pictures a batch."""
    files = {"batches.meta": {"label_names": ["airplane", "automobile"]}}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        files[name] = {"data": np.full((2, 3072), len(files), np.uint8), "labels": [0, 1]}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            raw = pickle.dumps(content)
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return data.getvalue()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """Serve a folder; give it and its address."""
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served"))
    Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_cifar10_is_downloaded_only_by_its_name(tmp_path, served, monkeypatch):
    folder, address = served
    archive = packed(CIFAR10.base_folder)
    (folder / "cifar.tar.gz").write_bytes(archive)
    monkeypatch.setattr(CIFAR10, "url", f"{address}/cifar.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive).hexdigest())
    for attribute in ("train_list", "test_list"):
        unchecked = [[name, None] for name, _ in getattr(CIFAR10, attribute)]
        monkeypatch.setattr(CIFAR10, attribute, unchecked)
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": None})
    train, test = read("cifar10", tmp_path / "downloads")
    assert (len(train), len(test)) == (10, 2)
    assert train.names == ("airplane", "automobile")
    assert test.pictures.shape == (2, 32, 32, 3)
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(ValueError, match="could not be downloaded"):
        read("cifar10", tmp_path / "again")
