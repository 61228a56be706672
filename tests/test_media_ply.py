"""PLY files of points alone are read as trimesh reads them; what is not one is left to trimesh."""

import numpy as np
import pytest
import trimesh

from core.media3d import read_cloud
from core.media_ply import read_ply_points

POINTS = np.random.default_rng(0).normal(size=(50, 3)).astype("<f4")
XYZ = "property float x\nproperty float y\nproperty float z\n"
COLOURS = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


@pytest.fixture
def save(tmp_path):
    def to(body: bytes, properties: str = XYZ, *, form: str = "binary_little_endian", count: int | str = 50):
        header = f"ply\nformat {form} 1.0\ncomment of nothing\nelement vertex {count}\n{properties}end_header\n"
        path = tmp_path / "points.ply"
        path.write_bytes(header.encode() + body)
        return path

    return to


def test_points_alone_are_read_in_their_own_precision(save):
    found = read_ply_points(save(POINTS.tobytes()))
    assert found.dtype == np.float32
    assert np.array_equal(found, POINTS)
    doubled = XYZ.replace("float", "float64")
    assert np.array_equal(read_ply_points(save(POINTS.astype("<f8").tobytes(), doubled)), POINTS)
    whole = read_ply_points(save(np.arange(150, dtype="<i2").tobytes(), XYZ.replace("float", "short")))
    assert whole.tolist() == np.arange(150.0).reshape(50, 3).tolist()


def test_what_stands_beside_them_is_passed_over(save):
    row = np.dtype([("nx", "<f4"), ("z", "<f4"), ("y", "<f8"), ("x", "<f4"), ("red", "u1")])
    table = np.zeros(50, row)
    for axis, values in zip("xyz", POINTS.T, strict=True):
        table[axis] = values
    properties = "property float nx\nproperty float z\nproperty double y\nproperty float x\nproperty uchar red\n"
    no_faces = "element face 0\nproperty list uchar int vertex_indices\n"
    for more in ("", no_faces):
        assert np.array_equal(read_ply_points(save(table.tobytes(), properties + more)), POINTS)


def test_trimesh_reads_the_same(tmp_path):
    path = tmp_path / "scan.ply"
    trimesh.PointCloud(POINTS, colors=np.full((50, 4), 200, np.uint8)).export(path)
    assert read_ply_points(path) == pytest.approx(trimesh.load(path).vertices)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
@pytest.mark.parametrize("properties", [COLOURS, XYZ.replace("property float z\n", "")])
def test_colours_alone_and_two_dimensions_are_named(save, form, properties):
    with pytest.raises(ValueError, match="This PLY file has no fields x, y and z"):
        read_cloud(save(b"1 2 3\n" * 50, properties, form=form))


def test_everything_else_is_left_to_trimesh(save, tmp_path):
    body, faces = POINTS.tobytes(), "element face 1\nproperty list uchar int vertex_indices\n"
    others = (
        {"form": "binary_big_endian"},
        {"body": body[:-1]},
        {"body": body + b"1"},
        {"count": "9" * 20},
        {"count": "-5"},
        {"properties": XYZ.replace("float y", "quux y")},
        {"properties": XYZ.replace("float y", "float x")},
        {"properties": XYZ + faces},
        {"properties": XYZ + "property list uchar int more\n"},
        {"properties": XYZ + "nonsense\n"},
    )
    for each in others:
        assert read_ply_points(save(**({"body": body} | each))) is None
    path = tmp_path / "letter.ply"
    for text in (b"", b"Dear reader", b"ply\n", b"ply\n" + b"comment\n" * 999, b"ply\nend_header\n"):
        path.write_bytes(text)
        assert read_ply_points(path) is None
