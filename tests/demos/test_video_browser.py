"""A walk through the video tab in a real browser: one click, a jump of the player, whole clips played backwards."""

import re

import pytest
from playwright.sync_api import expect

from tests.demos.walk import PATIENCE, visiting

INDEXING = 3 * PATIENCE


@pytest.fixture(scope="module")
def visit(chromium, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIP_FAMILY_INDEX", str(tmp_path_factory.mktemp("index")))
        patch.setenv("CLIP_FAMILY_CACHE", str(tmp_path_factory.mktemp("cache")))
        with visiting(chromium, "Videos", "#vid-take") as opened:
            yield opened[0]


def stands_at(page, second: str) -> None:
    """Wait until the player stands at a second."""
    near = "second => Math.abs(document.querySelector('#vid-player video').currentTime - second) < 0.3"
    page.wait_for_function(near, arg=float(second), timeout=PATIENCE)


def test_one_click_draws_adds_and_finds_and_each_moment_tells_its_clip(visit):
    page = visit.page
    page.click("#vid-take")
    moments = page.locator("#vid-moments button.thumbnail-item, #vid-moments .gallery-item")
    expect(moments.first).to_be_visible(timeout=INDEXING)
    expect(page.locator("#vid-said")).to_contain_text(re.compile("moments in [0-9]+ clips"))
    expect(page.locator("#vid-moments")).to_contain_text("toybox-")
    expect(page.locator("#vid-player video")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#vid-curve .js-plotly-plot")).to_be_visible(timeout=PATIENCE)


def test_a_click_on_a_moment_moves_the_player_and_so_does_a_second_one(visit):
    page = visit.page
    captions = page.locator("#vid-moments .caption-label")
    expect(captions.first).to_be_visible(timeout=PATIENCE)
    spans = [re.search(r"([0-9.]+)-[0-9.]+ s", text)[1] for text in captions.all_inner_texts()]
    chosen = max(range(len(spans)), key=lambda place: float(spans[place]))
    for _ in range(2):
        captions.nth(chosen).click()
        stands_at(page, spans[chosen])
        page.locator("#vid-player video").evaluate("video => { video.currentTime = 0.01 }")


def test_whole_clips_are_ranked_and_played_backwards(visit):
    page = visit.page
    page.get_by_role("tab", name="Whole clips").click()
    page.click("#vid-rank")
    first = page.locator("#vid-ranked .caption-label").first
    expect(first).to_be_visible(timeout=PATIENCE)
    page.locator("#vid-backwards input").check()
    expect(first).to_contain_text("toybox-", timeout=PATIENCE)  # backwards the sentences are not true any more
    page.get_by_role("tab", name="Heads").click()
    page.click("#vid-heads-button")
    expect(page.locator("#vid-heads-table")).to_contain_text("tightTransf", timeout=PATIENCE)
