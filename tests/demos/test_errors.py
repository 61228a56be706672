"""Every sentence that can reach a user is there in Chinese."""

import ast

import pytest

from demos.errors import CHINESE, translate
from tests.project import FILES, ROOT

REACH_USERS = (
    "core/detection/",
    "demos/",
    "core/zero_shot/",
    "core/segmentation/",
    "core/video_retrieval/",
    "core/action/",
    "core/point_cloud/",
    "core/depth/",
    "core/sketch/",
    "core/backbones/",
    "core/media_video/",
)
REACH_USERS_TOO = ("media", "media3d", "media_ply", "prompts", "checkpoints", "hub", "device", "registry")


def sentence(node: ast.expr) -> str | None:
    """Return a literal or an f-string with {} for its values; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def raised(source: str) -> set[str]:
    """Return the sentences that a source raises or returns for raising, for users: they start with a capital or {}."""
    calls = [n.exc for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    found = {sentence(call.args[0]) for call in calls if call.args}
    return {text for text in found if text and (text[0].isupper() or text.startswith("{}"))}


PATHS = [
    path
    for path in FILES
    if path.endswith(".py") and path.startswith((*REACH_USERS, *(f"core/{name}.py" for name in REACH_USERS_TOO)))
]


@pytest.mark.parametrize("path", PATHS)
def test_every_sentence_has_its_chinese(path):
    assert not raised((ROOT / path).read_text("utf-8")) - set(CHINESE)


def test_a_sentence_without_chinese_is_found():
    assert raised('raise ValueError(f"New: {x}.")') == {"New: {}."}


@pytest.mark.parametrize("english", CHINESE)
def test_the_values_arrive(english):
    values = [f"<{i}>" for i in range(english.count("{}"))]
    chinese = translate(english.format(*values), "zh")
    assert chinese != english.format(*values)
    assert all(value in chinese for value in values)
    assert translate(english.format(*values), "en") == english.format(*values)


def test_a_sentence_about_one_of_many_is_translated_within():
    assert translate("a.png: There is no file b.png.", "zh") == "a.png：没有文件 b.png。"


def test_what_is_not_listed_stays_as_it_is():
    assert translate("no sentence of ours", "zh") == "no sentence of ours"
