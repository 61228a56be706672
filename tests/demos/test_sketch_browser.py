"""Two people draw in real browsers: one stops and goes on, the other sees nothing of it."""

import pytest
from playwright.sync_api import expect

from tests.demos.walk import PATIENCE, visiting


@pytest.fixture(scope="module")
def visits(chromium):
    with visiting(chromium, "Sketch", "#sketch-draw", 2) as opened:
        yield opened


def test_a_drawing_is_watched_stopped_taken_up_and_replayed_and_nobody_else_sees_it(visits):
    page, other = (visit.page for visit in visits)
    page.click("#sketch-draw")
    strokes = page.locator("#sketch-board svg path")
    expect(strokes).to_have_count(16, timeout=PATIENCE)
    page.click("#sketch-stop")
    said = page.locator("#sketch-said")
    expect(said).to_contain_text("Stopped", timeout=PATIENCE)
    expect(page.locator("#sketch-resume")).to_be_enabled(timeout=PATIENCE)
    where = said.inner_text()
    page.click("#sketch-resume")
    expect(said).not_to_have_text(where, timeout=PATIENCE)
    page.click("#sketch-stop")
    expect(said).to_contain_text("Stopped", timeout=PATIENCE)
    box = page.locator("#sketch-board .sketch").bounding_box()
    assert box["y"] + box["height"] < 768
    expect(page.locator("#sketch-resume")).to_be_enabled(timeout=PATIENCE)
    page.click("#sketch-replay")
    expect(page.locator("#sketch-board img")).to_be_visible(timeout=PATIENCE)
    expect(other.locator("#sketch-board svg")).to_have_count(0)


def test_bad_input_is_a_sentence_and_the_drawing_stays(visits):
    page = visits[1].page
    page.fill("#sketch-seed input", "")
    page.click("#sketch-draw")
    expect(page.get_by_text("Choose a picture, or give the Toybox thing a number")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#sketch-said")).to_contain_text("press Draw")
