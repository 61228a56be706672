"""Downloads: only when asked for, resumed, checked before they are used, and every failure one sentence."""

import dataclasses
import hashlib
import io
import threading

import numpy as np
import pytest
import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import save

from core import checkpoints, registry
from core.checkpoints import OLD_WEIGHTS_FILE, WEIGHTS_FILE, NeedsDownload
from tests.hub import serving, small_clip

REFERENCE = "ViT-B-32-quickgelu/openai"
REPO = "timm/vit_base_patch32_clip_224.openai"
REMOTE = f"{REPO}/{WEIGHTS_FILE}"
PICTURE = np.full((40, 50, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def published() -> bytes:
    """Return a small CLIP in the key layout of the published files."""
    return save(small_clip().state_dict())


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with serving(monkeypatch, str(tmp_path / "weights")) as hub:
        yield hub


@pytest.fixture
def reference() -> checkpoints.Weights:
    return checkpoints.resolve("clip", REFERENCE)


def left_over(weights: checkpoints.Weights) -> list[str]:
    """Return what lies in the folder of a repository, apart from locks."""
    return sorted(path.name for path in checkpoints.folder(weights).glob("*") if path.suffix != ".lock")


def test_nothing_is_downloaded_unless_asked_for(hub, published, reference):
    hub.files[REMOTE] = published
    with pytest.raises(NeedsDownload, match=r"about 605 MB, licence MIT.*only on request"):
        checkpoints.fetch(reference)
    with pytest.raises(NeedsDownload):
        registry.load("clip", REFERENCE)
    assert not reference.available
    assert not hub.asked


def test_a_file_is_downloaded_once_and_progress_is_told(hub, published, reference):
    hub.files[REMOTE] = published
    told = []
    path = checkpoints.fetch(reference, download=True, progress=lambda here, total: told.append((here, total)))
    assert path.read_bytes() == published
    assert [here for here, _ in told] == sorted(here for here, _ in told)
    assert len(told) > 1
    assert told[-1] == (len(published), len(published))
    assert reference.available
    asked = len(hub.asked)
    assert checkpoints.fetch(reference, download=True) == path
    assert len(hub.asked) == asked
    assert left_over(reference) == [WEIGHTS_FILE]


def test_a_cut_connection_is_taken_up_where_it_broke(hub, published, reference):
    hub.files[REMOTE] = published
    hub.hang_up_after = 5000
    assert checkpoints.fetch(reference, download=True).read_bytes() == published
    first, second = hub.gets(REMOTE)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 5000


def test_a_second_try_goes_on_where_the_first_one_died(hub, published, reference):
    hub.files[REMOTE] = published
    hub.hang_up_after = 5000

    def die(here: int, total: int) -> None:
        hub.away = True

    with pytest.raises(ValueError, match="what arrived is kept") as caught:
        checkpoints.fetch(reference, download=True, progress=die)
    assert "\n" not in str(caught.value)
    assert not reference.available
    (part,) = checkpoints.folder(reference).glob("*.part")
    kept = part.stat().st_size
    assert 0 < kept < len(published)

    hub.away, hub.asked = False, []
    told = []
    path = checkpoints.fetch(reference, download=True, progress=lambda here, total: told.append((here, total)))
    assert path.read_bytes() == published
    assert hub.gets(REMOTE) == [f"bytes={kept}-"]
    assert told[0][0] > kept
    assert told[-1] == (len(published), len(published))
    assert left_over(reference) == [WEIGHTS_FILE]


def test_a_user_who_stops_a_download_can_go_on_later(hub, published, reference):
    hub.files[REMOTE] = published

    def stop(here: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.fetch(reference, download=True, progress=stop)
    assert not reference.available
    assert checkpoints.fetch(reference, download=True).read_bytes() == published


def test_a_file_that_changed_on_the_hub_starts_anew(hub, published, reference):
    hub.files[REMOTE] = published
    folder = checkpoints.folder(reference)
    folder.mkdir(parents=True)
    (folder / f"{WEIGHTS_FILE}.another-version.part").write_bytes(b"x" * 100)
    assert checkpoints.fetch(reference, download=True).read_bytes() == published
    assert hub.gets(REMOTE) == [None]


def test_a_damaged_file_is_removed_before_it_is_used(hub, published, reference):
    hub.files[REMOTE] = published
    hub.damaged.add(REMOTE)
    with pytest.raises(ValueError, match="arrived damaged and was removed"):
        checkpoints.fetch(reference, download=True)
    assert left_over(reference) == []
    hub.damaged.clear()
    assert checkpoints.fetch(reference, download=True).read_bytes() == published


def test_a_damaged_beginning_from_an_earlier_try_is_found_out(hub, published, reference):
    hub.files[REMOTE] = published
    hub.hang_up_after = 5000
    hub.damaged.add(REMOTE)

    def die(here: int, total: int) -> None:
        hub.away = True

    with pytest.raises(ValueError, match="went away"):
        checkpoints.fetch(reference, download=True, progress=die)
    hub.away = False
    hub.damaged.clear()
    with pytest.raises(ValueError, match="arrived damaged"):
        checkpoints.fetch(reference, download=True)
    assert checkpoints.fetch(reference, download=True).read_bytes() == published


def test_the_cards_own_sha256_outranks_the_hubs(hub, published, reference):
    hub.files[REMOTE] = published
    card = checkpoints.Weights(name="x", system="clip", repo=REPO, architecture="x", sha256="0" * 64)
    with pytest.raises(ValueError, match="arrived damaged"):
        checkpoints.fetch(card, download=True)
    assert left_over(reference) == []


def test_weights_without_any_sha256_are_not_used(hub, published, reference):
    hub.files[REMOTE] = published
    hub.plain.add(REMOTE)
    with pytest.raises(ValueError, match="no sha256"):
        checkpoints.fetch(reference, download=True)
    assert left_over(reference) == []


def test_an_older_repository_has_the_older_file(hub, reference):
    buffer = io.BytesIO()
    torch.save(small_clip().state_dict(), buffer)
    hub.files[f"{REPO}/{OLD_WEIGHTS_FILE}"] = buffer.getvalue()
    path = checkpoints.fetch(reference, download=True)
    assert path.name == OLD_WEIGHTS_FILE
    assert checkpoints.fetch(reference) == path
    assert checkpoints.read_tensors(path).keys() == small_clip().state_dict().keys()


@pytest.mark.parametrize(
    ("status", "says"), [(401, "answers 401"), (403, "answers 403"), (404, "has no"), (503, "answers 503")]
)
def test_a_hub_that_refuses_is_one_sentence(hub, reference, status, says):
    hub.refused = status
    with pytest.raises(ValueError, match=says) as caught:
        checkpoints.fetch(reference, download=True)
    assert "\n" not in str(caught.value)


def test_no_hub_is_one_sentence_that_says_what_to_do(hub, reference, published):
    hub.away = True
    with pytest.raises(ValueError, match="choose an embedded model, or put") as caught:
        checkpoints.fetch(reference, download=True)
    said = str(caught.value)
    assert WEIGHTS_FILE in said
    assert REPO in said
    assert str(checkpoints.folder(reference)) in said
    checkpoints.folder(reference).mkdir(parents=True)  # and doing so works
    (checkpoints.folder(reference) / WEIGHTS_FILE).write_bytes(published)
    assert reference.available
    assert registry.load("clip", REFERENCE).rank(PICTURE, ["a dog", "a cat"]).best


def test_offline_mode_is_the_same_sentence(hub, reference, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="cannot be reached"):
        checkpoints.fetch(reference, download=True)
    assert not hub.asked


def test_a_log_in_page_in_the_way_is_not_taken_for_weights(hub, reference, monkeypatch):
    hub.files[REMOTE] = b"<html>log in"
    monkeypatch.setattr("tests.hub.COMMIT", "")
    hub.plain.add(REMOTE)
    with pytest.raises(ValueError, match="does not answer as a model hub"):
        checkpoints.fetch(reference, download=True)
    assert left_over(reference) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(hub, published, reference, tmp_path):
    hub.files[REMOTE] = published
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(ValueError, match="cannot be kept in"):
        checkpoints.fetch(reference, download=True)


def test_what_other_programs_downloaded_is_used(hub, published, reference, tmp_path, monkeypatch):
    hub.files[REMOTE] = published
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hf_hub_download(REPO, WEIGHTS_FILE, endpoint=hub.url)
    hub.away = True
    assert checkpoints.fetch(reference).read_bytes() == published


def test_two_who_download_at_once_get_one_whole_file(hub, published, reference):
    hub.files[REMOTE] = published
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(checkpoints.fetch(reference, download=True))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert found[0].read_bytes() == published
    assert len(hub.gets(REMOTE)) == 1


def test_an_authors_own_file_is_checked_by_its_sha256(hub, published, tmp_path):
    hub.files["org/model/own.pth"] = published
    url = f"{hub.url}/org/model/resolve/main/own.pth"
    wanted = hashlib.sha256(published).hexdigest()
    weights = checkpoints.Weights(name="own", system="own", url=url, filename="own.pth", sha256=wanted)
    with pytest.raises(NeedsDownload):
        checkpoints.fetch(weights)
    assert checkpoints.fetch_all(weights, download=True)[WEIGHTS_FILE].read_bytes() == published
    with pytest.raises(ValueError, match="no sha256"):
        checkpoints.fetch(dataclasses.replace(weights, name="b", system="b", sha256=None), download=True)
    with pytest.raises(ValueError, match="arrived damaged"):
        checkpoints.fetch(dataclasses.replace(weights, system="c", sha256="0" * 64), download=True)
