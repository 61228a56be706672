"""What every test runs under: no network, no analytics, own scratch folders, shapes checked where files meet."""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

from tests import typechecker
from tests.project import ROOT

SCRATCH = tempfile.mkdtemp(prefix="clip-family-tests-")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

# Set before anything imports gradio or huggingface_hub: both read the environment at import.
os.environ |= {
    "CLIP_FAMILY_RUNS": os.path.join(SCRATCH, "runs"),
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_TEMP_DIR": os.path.join(SCRATCH, "gradio"),
    "HF_HOME": os.path.join(SCRATCH, "hub"),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "NO_PROXY": "localhost,127.0.0.1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_OFFLINE": "1",
}
os.environ.pop("HF_ENDPOINT", None)
os.environ.setdefault("CLIP_FAMILY_DEVICE", "cpu")  # tests marked gpu ask for their device by name

install_import_hook(["core", "demos"], f"{typechecker.__name__}.checked")


def pytest_unconfigure() -> None:
    """Remove what the run left behind."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip gpu tests where there is no CUDA device; torch is asked only when there are such tests."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not importlib.import_module("torch").cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium for playwright; without one the test is skipped, in CI it fails."""
    found = next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        complaint = "no chromium on the PATH: apt-get install chromium fonts-noto-cjk"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(complaint)
    return found


@pytest.fixture(scope="session")
def python(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs Python in the checkout, in a process of its own and without the import hook."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=root,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
