"""The README is true: its commands, its file tree, its tables and its figures."""

import importlib
import re
import subprocess
from pathlib import Path

import pytest

from tests.project import FILES, ROOT, cards, pins

README = (ROOT / "README.md").read_text("utf-8")


def readme_section(title: str) -> str:
    """Return the README from a heading of the second level to the next one."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"wanted a section {title!r} in README.md"
    return found[1]


def fenced(text: str) -> str:
    """Return what stands in the first fenced block."""
    found = re.search(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found, "wanted a fenced block"
    return found[1].strip("\n")


def readme_tree(block: str) -> dict[str, str]:
    """Return the clause of every path in the README's file tree; two spaces of indent are one folder deeper."""
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block.splitlines():
        match = re.fullmatch(r"( *)(\S+?)(/?)(?:  +(\S.*))?", line)
        assert match, f"wanted 'NAME  clause', got {line!r}"
        depth = len(match[1]) // 2
        folders = folders[:depth]
        path = "/".join([*folders, match[2]])
        if match[3]:
            folders.append(match[2])
        found[path + match[3]] = match[4] or ""
    return found


TREE = readme_tree(fenced(readme_section("Files")))


def clause_of(path: str, listed: dict[str, str]) -> str:
    """Return the clause of a file, or of the nearest folder above it whose content is not listed; '' for none."""
    if path in listed:
        return listed[path]
    for parent in Path(path).parents:
        folder = f"{parent.as_posix()}/"
        if folder in listed:
            has_children = any(name.startswith(folder) and name != folder for name in listed)
            return "" if has_children else listed[folder]
    return ""


def test_every_file_has_a_clause_in_the_readme():
    assert not [path for path in FILES if not clause_of(path, TREE)]


def test_nothing_in_the_readme_tree_is_missing():
    there = set(FILES) | {f"{parent.as_posix()}/" for path in FILES for parent in Path(path).parents}
    assert not sorted(set(TREE) - there)


def test_a_tree_with_a_gap_is_found():
    listed = readme_tree("core/  the package\n  media.py  files in\n  viz/  pictures")
    assert clause_of("core/media.py", listed) == "files in"
    assert clause_of("core/viz/boxes.py", listed) == "pictures"
    assert clause_of("core/new.py", listed) == ""


def tables(section: str) -> list[list[list[str]]]:
    """Return the cells of every table in a section, line by line."""
    blocks = re.findall(r"^\|.*\n(?:\|.*\n)+", readme_section(section), re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]


def rows(section: str) -> list[list[str]]:
    """Return the cells of the first table in a section, without its heading and rule."""
    return tables(section)[0][2:]


def test_every_system_stands_in_the_readme():
    registry = importlib.import_module("core.registry")
    assert [row[0] for row in rows("Systems")] == [registry.get(name).title for name in registry.names()]


def test_the_figures_in_the_readme_are_those_of_the_cards():
    found, shown = cards(), []
    for header, _, *body in tables("Embedded networks"):
        for row in body:
            name = row[0].strip("`")
            shown.append(name)
            figures = found[name]["metrics"] | {key: found[name][key] for key in ("parameters", "minutes")}
            for column, cell in zip((cell.strip("`") for cell in header[1:]), row[1:], strict=True):
                digits = len(cell.partition(".")[2])
                assert cell == f"{figures[column]:,.{digits}f}", (name, column)
    assert sorted(shown) == sorted(found)


def test_ci_runs_the_command_of_the_readme(tmp_path):
    assert fenced(readme_section("Run the tests")).endswith(" && .venv/bin/python -m pytest")
    script = (ROOT / ".ci" / "run").read_text()
    extract = re.search(r"^command=\$\((.*)\)$", script, re.MULTILINE)
    assert extract, "wanted .ci/run to take its command from README.md"
    read = subprocess.run(["bash", "-c", extract[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert read.stdout.strip() == fenced(readme_section("Run the tests"))
    assert script.rstrip().endswith('exec bash -euo pipefail -c "$command"')


def test_the_commands_install_what_is_pinned_and_start_the_app():
    start = fenced(readme_section("Start"))
    assert start.startswith("python3.11 -m venv .venv && ")
    assert start.endswith(" && .venv/bin/python app.py")
    assert " -r requirements.txt" in start
    assert " -r requirements.txt -r tests/requirements.txt" in fenced(readme_section("Run the tests"))


def test_the_space_asks_for_the_pinned_gradio():
    front = README.split("---\n")[1]
    settings = dict(line.split(": ", 1) for line in front.splitlines())
    assert settings["sdk"] == "gradio"
    assert settings["sdk_version"] == pins("requirements.txt")["gradio"]
    assert (ROOT / settings["app_file"]).is_file()
    assert settings["license"] == "apache-2.0"


def test_the_readme_says_why_each_dependency_is_there():
    reasons = {row[0].strip("`"): row[1] for row in rows("Dependencies")}
    wanted = pins("requirements.txt") | pins("tests/requirements.txt")
    assert sorted(name.lower().replace("_", "-") for name in reasons) == sorted(wanted)
    assert all(reasons.values())


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?://|#)([^)]+)\)", README))
def test_what_the_readme_links_to_is_there(target):
    assert (ROOT / target).exists()
