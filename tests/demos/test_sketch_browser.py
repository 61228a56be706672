"""Two people draw in real browsers: one stops and goes on, the other sees nothing of it."""

import pytest
from playwright.sync_api import expect, sync_playwright

import app
from tests.demos.test_browser import FLAGS, PATIENCE, Visit


@pytest.fixture(scope="module")
def visits(chromium):
    demo = app.build()
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **app.launch_settings())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        opened = [Visit(browser, address) for _ in range(2)]
        for visit in opened:
            visit.page.get_by_role("tab", name="Sketch", exact=True).click()
            expect(visit.page.locator("#sketch-draw")).to_be_visible(timeout=PATIENCE)
        yield opened
        for visit in opened:
            visit.close()
        browser.close()
    demo.close()


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
