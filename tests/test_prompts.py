"""Templates and labels."""

import open_clip
import pytest

from core.prompts import TEMPLATES, check_templates, fill, parse_labels


def test_the_sets_are_those_of_the_official_notebook():
    assert tuple(t("{}") for t in open_clip.OPENAI_IMAGENET_TEMPLATES) == TEMPLATES["OpenAI 80"]
    assert tuple(t("{}") for t in open_clip.SIMPLE_IMAGENET_TEMPLATES) == TEMPLATES["OpenAI 7"]


def test_every_shipped_template_is_valid():
    for templates in TEMPLATES.values():
        assert check_templates(templates) == templates


def test_braces_in_a_label_do_no_harm():
    assert fill("a photo of a {}.", "{x}") == "a photo of a {x}."


def test_labels_are_split_at_commas_semicolons_and_lines_in_both_scripts():
    assert parse_labels("dog, cat;car\nred  ball，狗、猫；车, dog") == (
        "dog",
        "cat",
        "car",
        "red ball",
        "狗",
        "猫",
        "车",
    )


@pytest.mark.parametrize("text", ["", "  ", ",,;\n"])
def test_no_label_is_one_sentence(text):
    with pytest.raises(ValueError, match="Write at least one label"):
        parse_labels(text)


def test_a_thousand_labels_are_taken_and_one_more_is_not():
    thousand = ",".join(f"l{i}" for i in range(1000))
    assert len(parse_labels(thousand)) == 1000
    with pytest.raises(ValueError, match="at most 1000"):
        parse_labels(thousand + ",another")


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_a_template_needs_its_place_once(template):
    with pytest.raises(ValueError, match="exactly once"):
        check_templates([template])
