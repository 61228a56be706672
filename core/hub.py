"""One file of a model hub's repository onto the disk: resumed, checked against its sha256, moved into place when whole.

A file stays `.part` until it is right, so that whatever has its own name is whole, and a second try goes on where the
first one stopped. huggingface_hub's own cache resumes only within one call; its client, retries and log-in are used.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHA256 = re.compile(r"[0-9a-f]{64}")  # the ETag of what the hub calls a large file
NOT_FOUND = 404

Progress = Callable[[int, int], None]  # bytes here, bytes in all


class Absent(ValueError):
    """The repository, or the file in it, is not there."""


def bring(
    endpoint: str,
    repo: str,
    name: str,
    folder: Path,
    *,
    wanted: str | None = None,
    large: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Bring the file `name` of `repo` into a folder and return its path.

    `wanted` is its sha256, by default the hub's own; a `large` file without either is refused. Raises Absent where the
    hub has no such file, and ValueError in one sentence for everything else that goes wrong.
    """
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        return _bring(endpoint, repo, name, folder, wanted, large, progress)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == NOT_FOUND:
            raise Absent(f"The hub has no {name} in {repo}; check the name.") from None
        raise ValueError(
            f"The hub answers {status} for {repo}: check the name, and whether its licence must be accepted there."
        ) from None
    except (HTTPError, OSError) as error:
        if getattr(error, "errno", None) and not isinstance(error, ConnectionError):
            raise ValueError(f"{name} cannot be kept in {folder}: {error.strerror}.") from None
        raise ValueError(
            f"The hub cannot be reached, or went away (what arrived is kept): try again, choose an embedded model, or "
            f"put {name} of {repo} into {folder} by hand."
        ) from None


def bring_url(url: str, name: str, folder: Path, wanted: str, *, progress: Progress | None = None) -> Path:
    """Bring an author's own file, known by its sha256, into a folder; ValueError in one sentence as in `bring`."""
    from huggingface_hub.errors import HTTPError
    from huggingface_hub.utils import WeakFileLock

    if not SHA256.fullmatch(wanted):
        raise ValueError(f"{name} has no sha256 to check it by, so it is not downloaded.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target, part = folder / name, folder / f"{name}.{wanted[:16]}.part"
        with WeakFileLock(folder / f"{name}.lock"):
            if not target.is_file():
                _append(url, part, None, progress)
                _check(part, name, wanted, large=True)
                part.replace(target)
    except (HTTPError, OSError) as error:
        if getattr(error, "errno", None) and not isinstance(error, ConnectionError):
            raise ValueError(f"{name} cannot be kept in {folder}: {error.strerror}.") from None
        raise ValueError(
            f"{name} cannot be reached, or its server went away (what arrived is kept): try again, choose an embedded "
            f"model, or put it into {folder} by hand."
        ) from None
    return target


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(
    endpoint: str,
    repo: str,
    name: str,
    folder: Path,
    wanted: str | None,
    large: bool,
    progress: Progress | None,
) -> Path:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import WeakFileLock

    url = hf_hub_url(repo, name, endpoint=endpoint)
    about = get_hf_file_metadata(url, endpoint=endpoint)
    if not (about.commit_hash and about.etag):
        raise ValueError(
            f"{endpoint} does not answer as a model hub does: check HF_ENDPOINT, and whether the network has a log-in."
        )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name
    part = folder / f"{name}.{about.etag[:16]}.part"  # a file that changed on the hub starts anew
    with WeakFileLock(folder / f"{name}.lock"):
        if not target.is_file():  # else another program was faster
            _append(url, part, about.size, progress)
            _check(part, name, wanted or about.etag, large)
            part.replace(target)
    return target


def _append(url: str, part: Path, size: int | None, progress: Progress | None) -> None:
    """Add to a file what it still lacks."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    if size and part.is_file() and part.stat().st_size > size:
        part.unlink()
    with part.open("ab") as file:
        http_get(
            url,
            file,
            resume_size=file.tell(),
            headers=build_hf_headers(),
            expected_size=size,
            tqdm_class=_bar(progress),
        )


def _check(part: Path, name: str, wanted: str, large: bool) -> None:
    """Remove a file that is not what the hub promised; small text files have no sha256 there."""
    if SHA256.fullmatch(wanted):
        if sha256(part) != wanted:
            part.unlink()
            raise ValueError(f"{name} arrived damaged and was removed; download it again.")
    elif large:
        part.unlink()
        raise ValueError(f"The hub gives no sha256 for {name}, so it was removed unused.")


def _bar(progress: Progress | None) -> Any:
    """Return what huggingface_hub takes for a progress bar and tells `progress`, or None for its ordinary one."""
    if progress is None:
        return None

    class Told:
        def __init__(self, *, total: int | None = None, initial: int = 0, **_: object) -> None:
            self.here, self.total = initial, total or 0

        def __enter__(self) -> "Told":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, size: int) -> None:
            self.here += size
            progress(self.here, self.total)

    return Told
