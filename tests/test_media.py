"""Pictures: every kind that people have becomes RGB the right way up; every kind of damage becomes one sentence."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from core import media
from core.media import picture_names, read_image, read_named

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# Three pixels wide, two high: turned or mirrored wrongly it is another picture.
CORNERS = np.array([[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (10, 20, 30)]], np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def noise(height: int = 64, width: int = 96) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


def png_header_of(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels: what a decompression bomb shows before it goes off."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def corners(tmp_path):
    path = tmp_path / "corners.png"
    Image.fromarray(CORNERS).save(path)
    return path


def test_a_picture_is_the_same_from_a_path_bytes_pillow_or_an_array(corners):
    for source in (corners, str(corners), corners.read_bytes(), Image.open(corners), CORNERS):
        found = read_image(source)
        assert found.dtype == np.uint8
        assert found.tolist() == CORNERS.tolist()


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG"])
def test_every_usual_format_is_read(kind):
    settings = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    plain = Image.new("RGB", (32, 16), (200, 100, 50))
    found = read_image(encoded(plain, kind, **settings))
    assert found.shape == (16, 32, 3)
    assert np.abs(found.astype(int) - (200, 100, 50)).max() <= 4


# What each EXIF orientation did to the upright picture, by the standard: undone, CORNERS is back.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_a_turned_photograph_is_set_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](CORNERS)))
    assert read_image(encoded(stored, exif=exif)).tolist() == CORNERS.tolist()


def test_a_broken_turn_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert read_image(encoded(Image.fromarray(CORNERS), exif=exif)).tolist() == CORNERS.tolist()


def test_what_is_transparent_lies_on_white():
    image = Image.new("RGBA", (3, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth of black over white
    assert read_image(encoded(image)).tolist() == [[list(RED), list(WHITE), [204, 204, 204]]]
    grey = Image.new("LA", (1, 1), (0, 0))
    assert read_image(encoded(grey)).tolist() == [[list(WHITE)]]


def test_a_palette_is_looked_up_with_and_without_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    assert read_image(encoded(image)).tolist() == [[list(RED), list(GREEN)]]
    assert read_image(encoded(image, transparency=1)).tolist() == [[list(RED), list(WHITE)]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(kind):
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    assert read_image(encoded(Image.fromarray(deep), kind))[0, :, 0].tolist() == [0, 100, 255]


def test_a_dark_picture_of_sixteen_bits_stays_dark():
    dark = np.full((2, 2), 255, np.uint16)
    assert read_image(encoded(Image.fromarray(dark))).max() == 1


def test_cmyk_becomes_rgb():
    found = read_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert found[0, 0] == pytest.approx(RED, abs=8)


def test_black_and_white_and_grey_become_rgb():
    assert read_image(encoded(Image.new("1", (1, 1), 1))).tolist() == [[list(WHITE)]]
    assert read_image(encoded(Image.new("L", (1, 1), 7))).tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_shows_its_first_frame(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    settings = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **settings)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert read_image(data)[0, 0].tolist() == list(RED)
    later = Image.open(io.BytesIO(data))
    later.seek(1)
    assert read_image(later)[0, 0].tolist() == list(RED)


def test_one_pixel_is_a_picture():
    assert read_image(encoded(Image.new("RGB", (1, 1), BLUE))).tolist() == [[list(BLUE)]]


def test_twenty_thousand_pixels_in_width_are_reduced():
    wide = np.zeros((100, 20_000, 3), np.uint8)
    wide[:, 10_000:] = 255
    found = read_image(encoded(Image.fromarray(wide)))
    assert found.shape == (round(100 * media.LONGEST_SIDE / 20_000), media.LONGEST_SIDE, 3)
    assert found[20, [100, -100], 0].tolist() == [0, 255]
    thin = read_image(encoded(Image.new("RGB", (1, 20_000))))
    assert thin.shape == (media.LONGEST_SIDE, 1, 3)


@pytest.mark.parametrize("size", [(20_000, 20_000), (9_000, 9_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_before_it_goes_off(size):
    with pytest.raises(ValueError, match=r"more than 64 million pixels|not a picture|damaged"):
        read_image(png_header_of(*size))


def test_too_many_pixels_are_told_as_such():
    with pytest.raises(ValueError, match="more than 64 million pixels; make it smaller first"):
        read_image(png_header_of(9_000, 9_000))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a picture"),
        (b"just text, renamed to .png", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture|damaged"),
        (encoded(noise())[:4000], "damaged or cut off"),
        (encoded(noise(), "JPEG")[:1500], "damaged or cut off"),
        (encoded(noise(), "GIF")[:2000], "damaged or cut off"),
        (encoded(noise(), "WEBP")[:1000], "not a picture|damaged"),
        (encoded(noise(), "EPS"), "not a picture"),  # would start a program
        (encoded(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"), "not numbers"),
    ],
    ids=[
        "empty",
        "text",
        "header",
        "cut PNG",
        "cut JPEG",
        "cut GIF",
        "cut WebP",
        "EPS",
        "not a number",
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, data, says):
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ValueError, match=says) as caught:
            read_image(source)
        assert "\n" not in str(caught.value)


def test_no_picture_no_file_and_a_folder_are_one_sentence_each(tmp_path):
    with pytest.raises(ValueError, match="no picture yet"):
        read_image(None)
    with pytest.raises(ValueError, match="There is no file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="is a folder"):
        read_image(tmp_path)


def test_a_cut_off_picture_that_pillow_has_opened_is_the_same_sentence():
    opened = Image.open(io.BytesIO(encoded(noise())[:4000]))  # Pillow reads pixels only when asked
    with pytest.raises(ValueError, match="damaged or cut off"):
        read_image(opened)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_no_damage_to_any_byte_raises_anything_else(kind):
    good = encoded(noise(24, 32), kind)
    rng = np.random.default_rng(0)
    for _ in range(150):
        data = bytearray(good)
        for at in rng.integers(0, min(len(data), rng.choice([64, 10_000])), 4):
            data[at] = rng.integers(256)
        said = ""
        try:
            read_image(bytes(data))
        except ValueError as error:
            said = str(error)
        assert said == "" or said.startswith("This ")


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.full((2, 2), 7, np.uint8), 7),
        (np.full((2, 2, 1), 7, np.uint8), 7),
        (np.full((2, 2, 3), 1.0, np.float32), 255),
        (np.full((2, 2, 3), 0.5), 128),
        (np.full((2, 2, 3), 200, np.int64), 200),
        (np.full((2, 2, 3), 257 * 9, np.uint16), 9),
        (np.full((2, 2), True), 255),
    ],
)
def test_arrays_of_other_kinds_become_eight_bits(array, value):
    found = read_image(array)
    assert found.shape == (2, 2, 3)
    assert (found == value).all()


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 4, 2), (4,), (1, 4, 4, 3)])
def test_an_array_that_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match="wanted a picture"):
        read_image(np.zeros(shape, np.uint8))


# Many at once


@pytest.fixture
def many(tmp_path):
    """Return a folder, and a zip of it: two pictures, one broken, one hidden double of macOS, one text."""
    folder = tmp_path / "many"
    (folder / "sub").mkdir(parents=True)
    (folder / "__MACOSX").mkdir()
    Image.new("RGB", (4, 4), RED).save(folder / "b.png")
    Image.new("RGB", (4, 4), BLUE).save(folder / "sub" / "a.JPG", "JPEG", quality=95)
    (folder / "broken.png").write_text("text")
    (folder / "__MACOSX" / "b.png").write_bytes(b"")
    (folder / "notes.txt").write_text("text")
    packed = tmp_path / "many.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return {"folder": folder, "zip": packed}


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_folder_and_a_zip_give_the_same_pictures_and_say_what_was_left_out(many, kind):
    names = picture_names(many[kind])
    assert names == ["b.png", "broken.png", "sub/a.JPG"]
    unreadable: list[tuple[str, str]] = []
    found = dict(read_named(many[kind], names, unreadable))
    assert list(found) == ["b.png", "sub/a.JPG"]
    assert found["b.png"][0, 0].tolist() == list(RED)
    assert [name for name, _ in unreadable] == ["broken.png"]
    assert "not a picture" in unreadable[0][1]


def test_without_a_list_for_it_the_first_unreadable_picture_is_an_error_with_its_name(many):
    with pytest.raises(ValueError, match=r"broken.png: This file is not a picture"):
        list(read_named(many["folder"], picture_names(many["folder"])))


def test_a_zip_is_not_unpacked_to_the_disk(many, tmp_path, monkeypatch):
    before = sorted(tmp_path.rglob("*"))
    with zipfile.ZipFile(many["zip"], "a") as archive:
        archive.writestr("../../outside.png", encoded(Image.fromarray(CORNERS)))
    monkeypatch.chdir(tmp_path)
    names = [name for name in picture_names(many["zip"]) if "outside" in name]
    assert [picture.shape for _, picture in read_named(many["zip"], names)] == [CORNERS.shape]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_that_is_too_large_is_left_out(many, monkeypatch):
    monkeypatch.setattr(media, "LARGEST_MEMBER_BYTES", 100)
    Image.fromarray(CORNERS).save(many["folder"] / "b.png")
    unreadable: list[tuple[str, str]] = []
    names = ["b.png", "sub/a.JPG"]
    assert [name for name, _ in read_named(many["zip"], names, unreadable)] == ["b.png"]
    assert [name for name, _ in unreadable] == ["sub/a.JPG"]


def test_a_damaged_member_is_left_out(many):
    data = bytearray(many["zip"].read_bytes())
    at = data.index(b"\x89PNG")
    data[at + 20] ^= 255
    many["zip"].write_bytes(bytes(data))
    unreadable: list[tuple[str, str]] = []
    assert [name for name, _ in read_named(many["zip"], ["b.png", "sub/a.JPG"], unreadable)] == ["sub/a.JPG"]
    assert "cannot be unpacked" in unreadable[0][1]


def test_too_many_pictures_are_refused(many, monkeypatch):
    monkeypatch.setattr(media, "MOST_FILES", 2)
    with pytest.raises(ValueError, match="at most 2 pictures at once; these are 3"):
        picture_names(many["folder"])


@pytest.mark.parametrize("name", ["notes.txt", "nowhere.zip"])
def test_what_is_neither_folder_nor_zip_is_refused(many, name):
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        picture_names(many["folder"] / name)


def test_a_cut_off_zip_is_refused(many):
    many["zip"].write_bytes(many["zip"].read_bytes()[:-40])
    with pytest.raises(ValueError, match="neither a folder nor a zip"):
        picture_names(many["zip"])
