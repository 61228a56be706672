"""The user's pictures in: any file that people really have, to RGB uint8 the right way up.

What cannot be read is a ValueError with one sentence for the user.
"""

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 64_000_000  # a phone's largest; more is refused before it is decoded
LONGEST_SIDE = 8192  # longer pictures are shrunk to it
MOST_FILES = 100_000  # in one folder or zip
LARGEST_MEMBER_BYTES = 100_000_000
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif", ".avif")
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")  # Pillow's others can start programs (EPS)

Source = str | Path | bytes | Image.Image | np.ndarray | None


def read_image(source: Source) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture from a path, bytes, Pillow image or array: EXIF turn applied, alpha on white, first frame."""
    if source is None:
        raise ValueError("There is no picture yet: upload one, take one, or pick an example.")
    if isinstance(source, np.ndarray):
        return _from_array(source)
    try:
        if isinstance(source, Image.Image):  # its pixels may not have been read yet
            return _to_rgb(source)
        with warnings.catch_warnings():  # Pillow warns of bombs at its own, smaller limit
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                return _to_rgb(image)
    except UnidentifiedImageError:
        raise ValueError(f"This file is not a picture that can be read ({', '.join(FORMATS)}).") from None
    except FileNotFoundError:
        raise ValueError(f"There is no file {source}.") from None
    except IsADirectoryError:
        raise ValueError(f"{source} is a folder, not a picture.") from None
    except Image.DecompressionBombError:
        raise ValueError(_too_large()) from None
    except (OSError, SyntaxError, EOFError, OverflowError, struct.error, zlib.error):
        raise ValueError("This picture is damaged or cut off: its pixels cannot be read.") from None


def picture_names(source: str | Path) -> list[str]:
    """Return the names of the picture files in a folder or zip, sorted; ValueError for neither."""
    path = Path(source)
    if path.is_dir():
        names = [str(found.relative_to(path)) for found in path.rglob("*") if found.is_file()]
    else:
        with _archive(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    pictures = sorted(name for name in names if name.lower().endswith(ENDINGS) and "__MACOSX" not in name)
    if len(pictures) > MOST_FILES:
        raise ValueError(f"Give at most {MOST_FILES} pictures at once; these are {len(pictures)}.")
    return pictures


def read_named(
    source: str | Path, names: Sequence[str], unreadable: list[tuple[str, str]] | None = None
) -> Iterator[tuple[str, UInt8[np.ndarray, "H W 3"]]]:
    """Yield name and picture for files in a folder or zip, which is never unpacked to the disk.

    What cannot be read is added to `unreadable` as (name, reason) and skipped; without that list it is a ValueError.
    """
    path = Path(source)
    archive = None if path.is_dir() else _archive(path)
    try:
        for name in names:
            try:
                yield name, read_image(path / name if archive is None else _member(archive, name))
            except ValueError as error:
                if unreadable is None:
                    raise ValueError(f"{name}: {error}") from None
                unreadable.append((name, str(error)))
    finally:
        if archive is not None:
            archive.close()


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        raise ValueError(f"{path.name} is neither a folder nor a zip file that can be read.") from None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST_MEMBER_BYTES:
        raise ValueError(f"This file is larger than {LARGEST_MEMBER_BYTES // 1_000_000} MB.")
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError):
        raise ValueError("This file cannot be unpacked: it is damaged or has a password.") from None


def _to_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(_too_large())
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_eight_bits(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    longest = max(image.size)
    if longest > LONGEST_SIDE:
        size = tuple(max(1, round(side * LONGEST_SIDE / longest)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image)


def _from_array(array: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Take an array of grey, RGB or RGBA values; whole numbers up to 255 or 65535, or fractions from 0 to 1."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ValueError(f"wanted a picture as (H, W), (H, W, 3) or (H, W, 4), got {array.shape}")
    if array.dtype != np.uint8:
        array = _to_eight_bits(array)
    return _to_rgb(Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))


def _to_eight_bits(values: np.ndarray) -> UInt8[np.ndarray, "..."]:
    """Scale truth values, 16-bit whole numbers or fractions from 0 to 1 to 0 to 255."""
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if not np.isfinite(values).all():
        raise ValueError("This picture holds values that are not numbers.")
    if np.issubdtype(values.dtype, np.floating) and values.max(initial=0) <= 1:
        return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    sixteen = values.dtype.kind == "u" and values.dtype.itemsize == 2  # a dark picture stays dark
    top = 65535 if sixteen or values.max(initial=0) > 255 else 255
    return (np.clip(values.astype(np.float64), 0, top) * (255 / top)).round().astype(np.uint8)


def _too_large() -> str:
    return f"This picture has more than {MOST_PIXELS // 1_000_000} million pixels; make it smaller first."
