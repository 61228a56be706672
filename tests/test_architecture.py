"""The habits of the house as gates: what may import what, and what must not be in the tree."""

import ast
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import FILES, ROOT, cards, pins

MAX_FILE_BYTES = 9_000_000  # a Space refuses files of 10 MB that are not in large file storage
MAX_ASSETS_BYTES = 60_000_000
MAX_LINES = 400
DRAWERS = {"utils.py", "util.py", "misc.py", "helpers.py", "helper.py", "common.py", "tools.py"}
HEAVY = {"torch", "torchvision", "open_clip", "transformers", "timm", "segment_anything", "cv2"}
SLOW = HEAVY | {"av", "lancedb"}  # imported when they are first needed
HONESTY = ("trained head", "training-free", "re-creation")

# Beyond this, anyone may import from its own package, and speak the common tongue: core.results.
TASKS = (
    "zero_shot",
    "segmentation",
    "detection",
    "video_retrieval",
    "action",
    "point_cloud",
    "depth",
    "sketch",
)
ENTRIES = ("core.__main__", "core.commands", "core.evaluate", "core.bench")
ARROWS: dict[str, set[str]] = {
    "app": {"demos"},
    "demos": {
        "core.registry",
        "core.viz",
        "core.world",
        "core.media",
        "core.media3d",
        "core.media_video",
        "core.metrics",
        "core.prompts",
        "core.train",
    },
    "core": set(),
    "core.results": set(),
    "core.registry": {"core.checkpoints", "core.device"},
    **{f"core.{task}": {"core.backbones", "core.prompts", "core.checkpoints", "core.device"} for task in TASKS},
    "core.backbones": {"core.checkpoints", "core.device"},
    "core.checkpoints": {"core.hub", "core.weights"},
    "core.hub": set(),
    "core.weights": set(),
    "core.device": set(),
    "core.prompts": set(),
    "core.viz": set(),
    "core.metrics": set(),
    "core.media": set(),
    "core.media3d": {"core.media_ply"},
    "core.media_ply": set(),
    "core.media_video": set(),
    "core.world": set(),
    "core.train": {
        "core.registry",
        "core.backbones",
        "core.prompts",
        "core.checkpoints",
        "core.device",
        "core.world",
        "core.media3d",
        "core.metrics",
        *(f"core.{task}" for task in TASKS),
    },
}
WITHOUT_TORCH = {
    "core.results",
    "core.prompts",
    "core.viz",
    "core.metrics",
    "core.media",
    "core.media3d",
    "core.media_ply",
    "core.world",
}


SOURCES = [path for path in FILES if path.endswith(".py")]
PRODUCT = [path for path in SOURCES if path == "app.py" or path.startswith(("core/", "demos/"))]


def module_name(path: str) -> str:
    """Return the dotted name of a source file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def unit(module: str) -> str:
    """Return what the table of arrows knows a module by: app, demos, core, or core and one name more."""
    return ".".join(module.split(".")[: 2 if module.startswith("core") else 1])


def imports(source: str) -> Iterator[str]:
    """Yield every module that a source imports, inside functions too; `from core import x` counts as core.x."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "core":
                yield from (f"core.{alias.name}" for alias in node.names)
            else:
                yield node.module


def wrong_arrows(module: str, source: str) -> list[str]:
    """Return the project's modules that this one imports and may not."""
    ours = {unit(name) for name in imports(source) if name.split(".")[0] in ("app", "core", "demos", "tests")}
    home = unit(module)
    if home in ENTRIES or module in ENTRIES:
        return sorted(name for name in ours if not name.startswith("core"))
    allowed = ARROWS[home] | {home} | ({"core.results"} if module != "core.results" else set())
    return sorted(ours - allowed)


@pytest.mark.parametrize("path", PRODUCT)
def test_imports_follow_the_arrows(path):
    assert not wrong_arrows(module_name(path), (ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("app", "from core import registry"),
        ("demos.zero_shot", "import core.zero_shot.clip"),
        ("core.zero_shot.clip", "def load():\n    from core.segmentation import lseg"),
        ("core.world.render", "from core.train.data import Pairs"),
        ("core.viz.charts", "from core.registry import load"),
        ("core.backbones.clip", "from core.zero_shot.clip import load"),
        ("core.checkpoints", "from core import device"),
        ("core.bench.clip", "import demos"),
    ],
)
def test_an_arrow_that_the_table_lacks_is_found(module, source):
    assert wrong_arrows(module, source)


@pytest.mark.parametrize("path", [path for path in PRODUCT if unit(module_name(path)) in WITHOUT_TORCH])
def test_pictures_and_worlds_know_no_network(path):
    assert not {name.split(".")[0] for name in imports((ROOT / path).read_text("utf-8"))} & HEAVY


LIGHT = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    if found := set(sys.argv[1].split(",")) & set(sys.modules):
        sys.exit(f"importing {name} loads {sorted(found)}")
"""


def test_importing_what_the_app_needs_loads_no_framework(python):
    light = [module_name(path) for path in PRODUCT if path.startswith(("core/viz/", "core/world/", "demos/"))]
    named = [f"core.{name}" for name in ("registry", "checkpoints", "device", "media", "prompts", "results")]
    finished = python("-c", LIGHT, ",".join(SLOW), *named, *light, "app")
    assert finished.returncode == 0, finished.stderr


def test_ruff_finds_nothing(python):
    finished = python("-m", "ruff", "check", "--no-cache", ".")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_ruff_would_format_nothing(python):
    finished = python("-m", "ruff", "format", "--no-cache", "--check", ".")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_no_file_is_too_large_for_a_space():
    assert not [path for path in FILES if (ROOT / path).stat().st_size > MAX_FILE_BYTES]
    assets = [path for path in FILES if path.startswith("assets/")]
    assert sum((ROOT / path).stat().st_size for path in assets) <= MAX_ASSETS_BYTES


def test_every_file_is_one_idea():
    assert not [path for path in FILES if Path(path).name in DRAWERS]
    assert not [p for p in PRODUCT if len((ROOT / p).read_text("utf-8").splitlines()) > MAX_LINES]


def unsafe_loads(source: str) -> list[int]:
    """Return the lines that would run code from a data file: pickles in any wrapping."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        keywords = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name in ("torch.load", "load_state_dict_from_url") and keywords.get("weights_only") != "True":
            found.append(call.lineno)
        if keywords.get("allow_pickle") == "True" or name.split(".")[0] in ("pickle", "joblib", "dill"):
            found.append(call.lineno)
        if name in ("torch.jit.load", "hub.load", "torch.hub.load"):
            found.append(call.lineno)
    return found


def test_no_weights_file_is_unpickled():
    assert not {path: lines for path in PRODUCT if (lines := unsafe_loads((ROOT / path).read_text("utf-8")))}


@pytest.mark.parametrize(
    "source",
    ["torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p, allow_pickle=True)", "pickle.load(f)"],
)
def test_an_unsafe_load_is_found(source):
    assert unsafe_loads(source) == [1]


# Written in two halves, so that this file does not find itself.
MACHINE_WORDS = tuple(
    "".join(halves)
    for halves in (
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/tm", "p/"),
        ("site-", "packages/"),
        ("pyp", "i.org"),
        ("python", "hosted.org"),
        ("deb.deb", "ian.org"),
        ("TO", "DO"),
        ("FIX", "ME"),
        ("NotImpl", "ementedError"),
    )
)


def test_no_text_names_a_machine_or_leaves_work_for_later():
    found = {}
    for path in FILES:
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            text = data.decode("utf-8", "replace")
            if words := [word for word in MACHINE_WORDS if word in text]:
                found[path] = words
    assert not found


NAMED_BY_CHARTER = {"opencv-python", "plotly", "segment-anything", "torchvision", "transformers"}
BEHIND_ANOTHER = {"scipy": "trimesh"}  # needed by a dependency that does not ask for it


def distributions(paths: list[str]) -> set[str]:
    """Return the distributions that these sources import directly."""
    providers = importlib.metadata.packages_distributions()
    names = {name.split(".")[0] for path in paths for name in imports((ROOT / path).read_text("utf-8"))}
    foreign = names - set(sys.stdlib_module_names) - {"app", "core", "demos", "tests"}
    return {providers.get(name, [name])[0].lower().replace("_", "-") for name in foreign}


def test_what_the_product_imports_is_pinned_and_the_rest_has_a_reason():
    pinned = set(pins("requirements.txt"))
    used = distributions(PRODUCT)
    assert used <= pinned
    assert pinned - used <= NAMED_BY_CHARTER | set(BEHIND_ANOTHER) | {"pytest"}


def test_what_tests_import_is_pinned():
    own = pins("tests/requirements.txt")
    assert distributions([p for p in SOURCES if p.startswith("tests/")]) <= {*pins("requirements.txt"), *own}
    assert not set(own) & set(pins("requirements.txt"))


def test_every_registry_card_resolves():
    registry = importlib.import_module("core.registry")
    assert len(registry.SYSTEMS) > 0
    assert len(set(registry.names())) == len(registry.SYSTEMS)
    for card in registry.SYSTEMS:
        module, function = card.opener.split(":")
        assert module.startswith(f"core.{card.task}.")
        assert callable(getattr(importlib.import_module(module), function))
        assert card.honesty.startswith(HONESTY)
        assert card.url.startswith("https://")
        default = registry.weights_card(card.name)
        assert default.embedded, card.name
        assert default.available, card.name


def test_every_embedded_file_has_a_card_with_its_licence_and_figures():
    found = cards()
    files = [path for path in FILES if re.fullmatch(r"assets/checkpoints/[^/]+\.safetensors", path)]
    assert sorted(Path(path).stem for path in files) == sorted(found)
    for card in found.values():
        assert card["licence"] == "Apache-2.0"
        assert card["metrics"]
