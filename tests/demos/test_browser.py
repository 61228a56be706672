"""A walk through the zero-shot tab in a real browser, with every outside request blocked."""

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.world.picture import picture
from tests.demos.walk import PATIENCE, Visit, served, started


@pytest.fixture(scope="module")
def address():
    with served() as local:
        yield local


@pytest.fixture(scope="module")
def browser(chromium):
    with started(chromium) as opened:
        yield opened


@pytest.fixture
def visit(browser, address):
    opened = Visit(browser, address)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(picture(12, 240, count=1).rgb).save(path)
    return path


def upload(page: Page, path) -> None:
    page.set_input_files("#picture input[type=file]", path)
    expect(page.locator("#picture img")).to_be_visible(timeout=PATIENCE)


def classify(page: Page) -> None:
    page.click("#classify")
    expect(page.locator("#bars table.bars")).to_be_visible(timeout=PATIENCE)


def test_an_example_answers_and_the_page_shows_bars_without_scrolling(visit):
    visit.page.locator("#examples button").nth(0).click()
    bars = visit.page.locator("#bars table.bars")
    expect(bars).to_be_visible(timeout=PATIENCE)
    box = bars.bounding_box()
    assert box["y"] + box["height"] < 768
    expect(visit.page.locator("#cost")).to_contain_text("no model loaded")


def test_an_uploaded_picture_is_classified_and_the_slider_re_ranks(visit, scene):
    upload(visit.page, scene)
    visit.page.fill("#labels textarea", "car, tree, mug")
    classify(visit.page)
    expect(visit.page.locator("#bars tbody tr")).to_have_count(3)
    before = visit.page.locator("#bars").inner_text()
    visit.page.fill("#temperature input[type=number]", "8")
    visit.page.locator("#temperature input[type=number]").blur()
    expect(visit.page.locator("#bars")).not_to_have_text(before, timeout=PATIENCE)


def test_bad_input_is_one_sentence_and_nothing_is_lost(visit, tmp_path):
    visit.page.click("#classify")
    expect(visit.page.get_by_text("There is no picture yet")).to_be_visible(timeout=PATIENCE)
    assert "dog" in visit.page.input_value("#labels textarea")


def test_every_lesson_answers(visit, scene):
    page = visit.page
    upload(page, scene)
    page.get_by_role("tab", name="Where did it look").click()
    page.click("#look-button")
    expect(page.locator("#maps img")).not_to_have_count(0, timeout=PATIENCE)
    page.get_by_role("tab", name="Prompt lab").click()
    page.click("#prompts-button")
    expect(page.locator("#prompt-figure .js-plotly-plot")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Pairs").click()
    page.click("#matrix-button")
    expect(page.locator("#matrix-said")).to_contain_text("Contrastive loss", timeout=PATIENCE)
    page.get_by_role("tab", name="Make it fail").click()
    for name in ("typographic", "blank", "negation", "counting", "sides", "crop", "unseen"):
        before = page.locator("#fail-said").inner_text()
        page.click(f"#fail-{name}")
        expect(page.locator("#fail-said")).not_to_have_text(before or "-", timeout=PATIENCE)


def test_an_address_opens_a_tab_and_a_scene(browser, address):
    visit = Visit(browser, f"{address}?tab=zero-shot&scene=12&look=silhouette&labels=car,tree")
    expect(visit.page.locator("#picture img")).to_be_visible(timeout=PATIENCE)
    expect(visit.page.locator("#seed input")).to_have_value("12")
    expect(visit.page.locator("#labels textarea")).to_have_value("car,tree")
    visit.close()


def test_a_picture_follows_its_user_to_the_depth_tab(visit, scene):
    upload(visit.page, scene)
    visit.page.keyboard.press("Alt+7")
    expect(visit.page.locator("#depth-picture img")).to_be_visible(timeout=PATIENCE)


def test_keys_open_the_lessons(visit):
    visit.page.keyboard.press("Alt+Shift+3")
    expect(visit.page.locator("#prompts-button")).to_be_visible(timeout=PATIENCE)


@pytest.mark.parametrize("settings", [{"locale": "zh-CN"}, {"color_scheme": "dark"}], ids=["chinese", "dark"])
def test_chinese_and_dark_pages_work(browser, address, settings):
    visit = Visit(browser, address, **settings)
    if "locale" in settings:
        expect(visit.page.locator("#classify")).to_have_text("分类")
    visit.page.locator("#examples button").nth(1).click()
    expect(visit.page.locator("#bars table.bars")).to_be_visible(timeout=PATIENCE)
    if "locale" in settings:
        expect(visit.page.locator("#bars")).to_contain_text("概率")
    visit.close()
