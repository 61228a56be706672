"""The app as a server: what it offers, what it hides, what it costs to import."""

import json
import urllib.error
import urllib.request

import pytest

import app
from demos import TABS
from demos.build_examples import CHOSEN

PUBLIC = {
    "zero_shot",
    "action",
    "segmentation",
    "detection",
    "sketch",
    "point_cloud",
    "depth",
    "heat_maps",
    "prompt_scores",
    "prompt_sets",
    "pair_matrix",
    "classify_many",
    *(f"fail_{name}" for name in ("typographic", "blank", "negation", "counting", "sides", "crop", "unseen")),
}


@pytest.fixture(scope="module")
def demo():
    return app.build()


def test_the_public_endpoints_are_these(demo):
    found = {
        dependency["api_name"]
        for dependency in demo.get_config_file()["dependencies"]
        if dependency.get("api_visibility") == "public"
    }
    assert found == PUBLIC


def test_every_tab_is_there(demo):
    config = json.dumps(demo.get_config_file(), default=str)
    assert all(tab.ID in config for tab in TABS)
    assert len(CHOSEN) >= 4


def test_a_page_is_served_without_loading_torch(python):
    finished = python("-c", "import app, sys; app.build(); sys.exit('torch' in sys.modules)")
    assert finished.returncode == 0, finished.stderr


def status(url: str, body: dict | None = None) -> int:
    """Return the HTTP status of a GET, or of a POST with a JSON body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_is_served_and_the_queue_cannot_be_bypassed(demo):
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **app.launch_settings())
    try:
        assert status(address) == 200
        assert status(f"{address}gradio_api/run/fail_blank", {"data": []}) >= 400
        assert status(f"{address}monitoring") >= 400
    finally:
        demo.close()
