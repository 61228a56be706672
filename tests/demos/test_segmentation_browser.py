"""Two people segment in real browsers: one click answers, sliders need no model, and nobody sees the other's answer."""

import pytest
from playwright.sync_api import expect

from tests.demos.walk import PATIENCE, visiting


@pytest.fixture(scope="module")
def visits(chromium):
    with visiting(chromium, "Segmentation", "#sg-run", 2) as opened:
        yield opened


def test_one_click_draws_a_scene_and_answers_without_scrolling_and_nobody_else_sees_it(visits):
    page, other = (visit.page for visit in visits)
    page.click("#sg-run")
    legend = page.locator("#sg-legend tbody tr")
    expect(legend.nth(2)).to_be_visible(timeout=PATIENCE)
    box = legend.nth(2).bounding_box()
    assert box["y"] + box["height"] < 768
    expect(page.locator("#sg-truth img")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#sg-plain img")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#sg-said")).to_contain_text("Mean IoU with the truth")
    expect(other.locator("#sg-legend tbody tr")).to_have_count(0)


def test_a_click_adds_a_column_and_a_slider_moves_pixels_to_none(visits):
    page = visits[0].page
    page.locator("#sg-view img").click(position={"x": 100, "y": 100})
    expect(page.locator("#sg-legend thead")).to_contain_text("at (", timeout=PATIENCE)
    before = page.locator("#sg-legend").inner_text()
    page.fill("#sg-threshold input[type=number]", "1")
    page.locator("#sg-threshold input[type=number]").blur()
    expect(page.locator("#sg-legend")).not_to_have_text(before, timeout=PATIENCE)


def test_two_systems_are_compared_and_files_written(visits):
    page = visits[0].page
    page.get_by_role("tab", name="Compare", exact=True).click()
    page.click("#sg-compare")
    expect(page.locator("#sg-pair-table table")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Files", exact=True).click()
    page.click("#sg-write")
    expect(page.locator("#sg-files a")).to_have_count(3, timeout=PATIENCE)


def test_bad_input_is_a_sentence_and_the_words_stay(visits):
    page = visits[1].page
    page.fill("#sg-words textarea", ", ,")
    page.click("#sg-run")
    expect(page.get_by_text("Write at least one word to look for.")).to_be_visible(timeout=PATIENCE)
    assert page.input_value("#sg-words textarea") == ", ,"
