"""Both languages say everything, with the same values in it."""

import re

import pytest

from demos.text import WORDS, language_of, say


@pytest.mark.parametrize("key", WORDS)
def test_both_languages_take_the_same_values(key):
    english, chinese = (sorted(set(re.findall(r"{(\w+)", text))) for text in WORDS[key])
    assert english == chinese


def test_no_word_is_left_over(root):
    paths = [path for path in root.glob("demos/*.py") if not path.name.startswith("text")]
    code = "".join(path.read_text() for path in [*paths, root / "app.py"])
    code = code.replace("-", "_")
    built = {f"rule_{kind}" for kind in ("softmax", "sigmoid")} | {f"depth_{place}" for place in ("first", "second")}
    assert [key for key in WORDS if f'"{key}"' not in code and key not in built] == []


def test_the_browser_decides_the_language():
    assert language_of("zh-CN,zh;q=0.9") == "zh"
    assert language_of("en-GB,zh;q=0.5") == "en"
    assert "100" in say("zh", "said_blank", best="dog", share=0.5)
