"""Pictures in parquet files, as the Hugging Face hub keeps its data sets; the datasets package is not needed.

The hub converts every public data set to parquet in the branch refs/convert/parquet. A picture is a struct of bytes
and path; the schema's metadata say which column is one, and the names of the classes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.train.sources import CAPTION_NAMES, Item, class_name

HUB_PREFIX = "hf:"
CONVERTED = "refs/convert/parquet"
LABEL_NAMES = ("label", "labels", "fine_label", "class")
SPLIT_NAMES = {"train": "train", "test": "test", "validation": "test", "valid": "test"}


def hub_items(name: str) -> list[Item]:
    """Return the pictures of a data set on the hub, which is downloaded: OWNER/NAME or OWNER/NAME:SPLIT.

    Raises ValueError in one sentence where there is none or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    repo, _, wanted = name.partition(":")
    try:
        listed = HfApi().list_repo_files(repo, repo_type="dataset", revision=CONVERTED)
        files = [each for each in sorted(listed) if each.endswith(".parquet")]
        configuration = files[0].partition("/")[0] if files else ""  # the first of several versions of the data
        chosen = [each for each in files if each.startswith(configuration) and (not wanted or f"/{wanted}/" in each)]
        paths = [Path(hf_hub_download(repo, each, repo_type="dataset", revision=CONVERTED)) for each in chosen]
    except (HfHubHTTPError, HTTPError, OSError, ValueError):
        raise ValueError(f"The data set {repo} cannot be had from the hub: check its name and the network.") from None
    if not paths:
        raise ValueError(f"The hub has no pictures for {name}.")
    return [item for path, each in zip(paths, chosen, strict=True) for item in file_items(path, split=_split(each))]


def file_items(path: Path, *, split: str | None = None) -> list[Item]:
    """Return the pictures of one parquet file with their class or captions."""
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
    except (ArrowException, OSError):
        raise ValueError(f"{path.name} is not a parquet file.") from None
    features = (
        json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    )
    columns = file.schema_arrow.names
    image = next((name for name in columns if (features.get(name) or {}).get("_type") == "Image"), None)
    image = image or next((name for name in ("image", "img") if name in columns), None)
    said = next((name for name in (*LABEL_NAMES, *CAPTION_NAMES) if name in columns), None)
    if image is None or said is None:
        raise ValueError(f"Wanted a column of pictures and one of labels or captions in {path.name}, got {columns}.")
    return list(_rows(file, path.stem, image, said, (features.get(said) or {}).get("names"), split))


def _rows(file: Any, stem: str, image: str, said: str, names: list[str] | None, split: str | None) -> Iterator[Item]:
    place = 0
    for batch in file.iter_batches(columns=[image, said]):
        for row in batch.to_pylist():
            value, picture = row[said], row[image]
            data = (picture.get("bytes") if isinstance(picture, dict) else picture) or b""
            about: dict[str, Any] = {"name": f"{stem}/{place}", "read": lambda data=data: data, "split": split}
            place += 1
            if said in CAPTION_NAMES:
                sentences = value if isinstance(value, list) else [value]
                yield Item(**about, captions=tuple(str(each) for each in sentences if each))
            elif value is not None:
                known = names is not None and isinstance(value, int) and 0 <= value < len(names)
                yield Item(**about, kind=class_name(names[value] if known else str(value)))


def _split(path: str) -> str | None:
    return next((SPLIT_NAMES[part] for part in Path(path).parts if part in SPLIT_NAMES), None)
