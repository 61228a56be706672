"""3D files: every usual kind becomes a cloud in the unit sphere; every kind of damage becomes one sentence."""

import io

import numpy as np
import pytest
import trimesh

from core import media3d
from core.media3d import ROW, farthest_points, outermost, read_cloud, read_whole_cloud, surface_points, write_ply

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 4)], float)  # of a tall box, z up
TEXT = "\n".join("{} {} {}".format(*corner) for corner in CORNERS)
PCD = """# .PCD v0.7
VERSION 0.7
FIELDS normal x y z
SIZE 4 4 4 4
TYPE F F F F
COUNT 3 1 1 1
WIDTH 8
HEIGHT 1
POINTS 8
DATA ascii
""" + "\n".join("9 9 9 {} {} {}".format(*corner) for corner in CORNERS)
BOX = trimesh.creation.box((1, 2, 4))


@pytest.fixture
def save(tmp_path):
    def to(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


def npy(array: np.ndarray, **settings: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **settings)
    return buffer.getvalue()


def spans(cloud) -> np.ndarray:
    return np.ptp(cloud.points, axis=0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xyz", TEXT),
        ("a.xyz", "//X,Y,Z,R\n" + TEXT.replace(" ", ",").replace("\n", ",7\n") + ",7\r\n\n"),
        ("a.XYZ", "8\n" + TEXT.replace(" ", "\t")),
        ("a.xyz", "x;y;z\n" + TEXT.replace(" ", ";")),
        ("a.npy", npy(CORNERS)),
        ("a.npy", npy(np.hstack([CORNERS, CORNERS]).astype(np.int16))),
        ("a.pcd", PCD),
        ("a.ply", trimesh.PointCloud(CORNERS).export(file_type="ply")),
        ("a.obj", "v " + TEXT.replace("\n", "\nv ")),
        ("a.off", f"OFF\n8 0 0\n{TEXT}\n"),
    ],
)
def test_points_are_read_centred_scaled_and_set_upright(save, name, content):
    cloud = read_cloud(save(name, content), up="z")
    half = np.array([1, 4, 2]) / np.sqrt(21)  # x, up, depth of the box whose corners lie on the unit sphere
    assert cloud.points.dtype == np.float32
    assert sorted(map(tuple, np.abs(cloud.points).round(4))) == [tuple(half.round(4).astype(np.float32))] * 8
    first = cloud.points[0] if name == "a.npy" else None
    assert first is None or first == pytest.approx(half * (-1, -1, 1), abs=1e-4)  # the front, y = 0, is towards +z


@pytest.mark.parametrize("kind", ["ply", "obj", "off", "stl", "glb"])
def test_a_meshs_surface_is_covered(save, kind):
    cloud = read_cloud(save(f"a.{kind}", BOX.export(file_type=kind)), count=500)
    assert cloud.points.shape == (500, 3)
    assert np.linalg.norm(cloud.points, axis=1).max() == pytest.approx(1, abs=1e-5)
    assert spans(cloud) / spans(cloud)[0] == pytest.approx([1, 2, 4], rel=0.05)


def test_the_parts_of_a_scene_stand_in_their_places(save):
    scene = trimesh.Scene()
    for shift in (0, 10):
        scene.add_geometry(BOX, transform=trimesh.transformations.translation_matrix((shift, 0, 0)))
    cloud = read_cloud(save("a.glb", scene.export(file_type="glb")), count=500)
    assert spans(cloud)[0] / spans(cloud)[1] == pytest.approx(11 / 2, rel=0.1)


def test_y_up_is_left_as_it_is(save):
    assert spans(read_cloud(save("a.xyz", TEXT))).argmax() == 2
    assert spans(read_cloud(save("a.xyz", TEXT), up="z")).argmax() == 1


def test_the_same_seed_gives_the_same_points(save):
    path = save("a.stl", BOX.export(file_type="stl"))
    first, again, other = (read_cloud(path, count=50, seed=seed).points for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_points_far_from_the_origin_keep_their_shape(save):
    near, far = (read_cloud(save("a.npy", npy(CORNERS + shift)), up="z").points for shift in (0, 5_648_349))
    assert far == pytest.approx(near, abs=1e-5)


def test_the_farthest_points_are_kept():
    line = np.array([[0.0, 0, 0], [0.1, 0, 0], [1, 0, 0], [10, 0, 0], [9.9, 0, 0]])
    kept = farthest_points(line, 3, np.random.default_rng(0))[:, 0]
    assert len({round(value) for value in kept}) == 3  # one near each of 0, 1 and 10
    assert farthest_points(line, 9, np.random.default_rng(0)) is line


def test_every_point_is_near_a_kept_one():
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (4000, 3)) * (1, 1, 0)
    kept = farthest_points(points, 400, rng)
    distances = np.linalg.norm(points[:, None] - kept, axis=2)
    assert len(np.unique(kept, axis=0)) == 400
    assert distances.min(1).max() < 0.1  # 400 points chosen by chance leave holes of about 0.2
    by_chance = np.linalg.norm(points[:, None] - points[rng.choice(4000, 400, replace=False)], axis=2)
    assert by_chance.min(1).max() > 1.4 * distances.min(1).max()


@pytest.mark.parametrize("count", [1, ROW - 1, ROW, 3 * ROW + 5])
def test_the_outermost_are_found_in_rows(count):
    points = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    assert np.array_equal(outermost(points, np.minimum), points.min(0))
    assert np.array_equal(outermost(points, np.maximum), points.max(0))
    points[count // 2, 1] = np.nan
    assert np.isnan(outermost(points, np.maximum)).tolist() == [False, True, False]


def test_a_scene_of_a_thousand_parts_is_one_cloud(save):
    scene = trimesh.Scene()
    for i in range(1000):
        shift = trimesh.transformations.translation_matrix((2 * (i % 40), 5 * (i // 40), 0))
        scene.add_geometry(BOX, transform=shift)
    cloud = read_cloud(save("a.glb", scene.export(file_type="glb")), count=500)
    assert spans(cloud)[0] / spans(cloud)[1] == pytest.approx(79 / 122, rel=0.05)


@pytest.mark.parametrize("lines", ["mtllib nothing.mtl", "mtllib ../../secret.mtl\nusemtl wood"])
def test_a_mesh_whose_textures_are_missing_is_a_mesh(save, lines):
    cloud = read_cloud(save("a.obj", f"{lines}\n{BOX.export(file_type='obj')}"), count=100)
    assert spans(cloud) / spans(cloud)[0] == pytest.approx([1, 2, 4], rel=0.15)


def test_huge_coordinates_keep_their_shape(save):
    near, far = (read_cloud(save("a.npy", npy(CORNERS * scale)), up="z").points for scale in (1, 4e307))
    assert far == pytest.approx(near, abs=1e-5)


def test_what_lies_in_a_plane_or_on_a_line_is_a_cloud(save):
    for flat in ((1, 1, 0), (0, 1, 0)):
        points = np.random.default_rng(0).normal(size=(300, 3)) * flat
        assert ((spans(read_cloud(save("a.npy", npy(points)), count=50)) > 0) == flat).all()


def test_a_surface_is_sampled_by_its_area():
    small = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    triangles = np.stack([small, 3 * small + 100])
    points = surface_points(triangles, 10_000, np.random.default_rng(0))
    assert (points[:, 0] > 50).mean() == pytest.approx(0.9, abs=0.02)


def test_a_mesh_without_area_gives_its_corners(save):
    assert len(read_cloud(save("a.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")).points) == 3


SENTENCE = "wanted numbers for x, y and z in every line"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", TEXT, "not a 3D file"),
        ("a", TEXT, "not a 3D file"),
        *((f"a.{kind}", "", "empty") for kind in media3d.READERS),
        *((f"a.{kind}", "This is a letter, 1 page.\nYours", "This file") for kind in media3d.READERS),
        *((f"a.{kind}", b"\x89PNG\r\n\x1a\n\x00\xff" * 40, "This file") for kind in media3d.READERS),
        ("a.ply", trimesh.PointCloud(CORNERS).export(file_type="ply")[:-40], "damaged|not PLY"),
        ("a.glb", BOX.export(file_type="glb")[:300], "not GLB"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "not OBJ"),
        ("a.obj", "v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "not numbers"),
        ("a.xyz", "# nothing\n", "no points"),
        ("a.xyz", "1 2 3\n1 2\n", SENTENCE),
        ("a.xyz", "1 2 3\n1 2 c\n", SENTENCE),
        ("a.xyz", "1 2 3\nnan 2 3\n", "not numbers"),
        ("a.xyz", "1 2 3\n-inf 2 3\n", "not numbers"),
        ("a.xyz", "1 2 3\n", "one place"),
        ("a.xyz", "1 2\n3 4\n", SENTENCE),
        ("a.xyz", "1 2 3\n1 2 3\n", "one place"),
        ("a.npy", npy(np.zeros((4, 2))), "not a table of points"),
        ("a.npy", npy(np.zeros((0, 3))), "no points"),
        ("a.npy", npy(np.array([["a", "b", "c"]])), "not a table of points"),
        ("a.npy", npy(np.array([[{}, {}, {}]], object), allow_pickle=True), "plain numbers"),
        ("a.npy", npy(CORNERS)[:-9], "damaged"),
        ("a.pcd", PCD.replace("ascii", "binary"), "binary; save it as ASCII"),
        ("a.pcd", PCD.replace("ascii", "binary_compressed"), "binary; save it as ASCII"),
        ("a.pcd", PCD.replace("x y z", "a b c"), "no fields x, y and z"),
        ("a.pcd", PCD.replace("COUNT 3 1", "COUNT -3 1"), "no fields x, y and z"),
        ("a.pcd", PCD.replace("9 9 9 0", "9 9 9"), "wanted numbers"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(save, name, content, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        read_cloud(save(name, content))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file b\.ply"):
        read_cloud(tmp_path / "b.ply")
    (tmp_path / "c.ply").mkdir()
    with pytest.raises(ValueError, match=r"c\.ply is a folder"):
        read_cloud(tmp_path / "c.ply")


@pytest.mark.parametrize("name", ["a.xyz", "a.npy", "a.ply"])
def test_too_many_points_are_refused(save, monkeypatch, name):
    monkeypatch.setattr(media3d, "MOST_VERTICES", 7)
    content = {"a.xyz": TEXT, "a.npy": npy(CORNERS), "a.ply": BOX.export(file_type="ply")}[name]
    with pytest.raises(ValueError, match="more than 0 million points"):
        read_cloud(save(name, content))


def test_settings_that_make_no_cloud_are_refused(save):
    for wrong in ({"count": 0}, {"up": "x"}):
        with pytest.raises(ValueError, match="wanted up"):
            read_cloud(save("a.xyz", TEXT), **wrong)


def test_one_point_can_be_kept(save):
    assert read_cloud(save("a.xyz", TEXT), count=1).points.tolist() == [[0, 0, 0]]


def test_a_scan_is_read_whole_and_written_as_ply(save, tmp_path):
    points = np.random.default_rng(0).normal(size=(30_000, 3))
    whole = read_whole_cloud(save("scan.npy", npy(points)))
    assert len(whole.points) == 30_000
    write_ply(whole, tmp_path / "whole.ply")
    assert np.allclose(trimesh.load(tmp_path / "whole.ply").vertices, whole.points, atol=1e-6)
