"""A walk through the detection tab in a real browser: one click, hovering, thresholds, masks, a sentence, bad input."""

import pytest
from playwright.sync_api import expect

from tests.demos.walk import PATIENCE, visiting


@pytest.fixture(scope="module")
def visit(chromium):
    with visiting(chromium, "Detection", "#dt-run") as opened:
        yield opened[0]


def opacity(page, selector):
    return float(page.locator(selector).first.evaluate("group => getComputedStyle(group).opacity"))


def test_one_click_answers_and_words_light_up_their_boxes(visit):
    page = visit.page
    page.get_by_role("radio", name="ViLD").check()
    page.click("#dt-run")
    picture = page.locator("#dt-view .boxes svg")
    expect(picture).to_be_visible(timeout=PATIENCE)
    box = picture.bounding_box()
    assert box["y"] + box["height"] < 768
    expect(page.locator("#dt-truth .boxes svg")).to_be_visible()
    expect(page.locator("#dt-said")).to_contain_text("True boxes found")
    words = [name for name in page.locator("#dt-view .w").all() if "none" not in name.get_attribute("class")]
    assert len(words) > 1
    words[0].hover()
    index = words[0].get_attribute("class").split()[1][1:]
    page.wait_for_timeout(400)
    assert opacity(page, f"#dt-view .b{index}") == 1
    assert opacity(page, f"#dt-view .b:not(.b{index})") < 0.2


def test_thresholds_and_masks_change_the_picture(visit):
    page = visit.page
    page.click("#dt-masks")
    expect(page.locator("#dt-cost")).to_contain_text("toybox-sam", timeout=PATIENCE)
    page.fill("#dt-least input[type=number]", "1")
    page.locator("#dt-least input[type=number]").blur()
    expect(page.locator("#dt-said")).to_contain_text("No box reaches", timeout=PATIENCE)
    expect(page.locator("#dt-view .boxes g.b")).to_have_count(0)


def test_a_sentence_is_shown_with_its_phrases_and_its_inside(visit):
    page = visit.page
    page.get_by_role("radio", name="GLIP").check()
    page.locator("#dt-mode").get_by_text("sentence").click()
    page.click("#dt-run")
    expect(page.locator("#dt-view .said .w")).to_have_count(2, timeout=PATIENCE)
    page.get_by_role("tab", name="Look inside").click()
    page.click("#dt-look")
    expect(page.locator("#dt-figure .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#dt-maps img")).not_to_have_count(0)


def test_bad_input_is_a_sentence_and_the_answer_stays(visit):
    page = visit.page
    page.get_by_role("tab", name="Answer", exact=True).click()
    page.fill("#dt-sentence textarea", "to the left of")
    page.click("#dt-run")
    expect(page.get_by_text("names no thing")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#dt-view .boxes svg")).to_be_visible()
    assert page.input_value("#dt-sentence textarea") == "to the left of"
