"""The app in a real browser: visitors, each with a page of their own and every outside request blocked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

import app

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HARMLESS = re.compile("WebGPU|Vega|ReadPixels|WebGL|favicon|manifest", re.IGNORECASE)
SECONDS = 1000
PATIENCE = 60 * SECONDS


class Visit:
    """One page, with what it asked of the outside world and what it complained of."""

    def __init__(self, browser: Browser, address: str, **context: object) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1024, "height": 768}} | context))
        self.page: Page = self.context.new_page()
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.route("**/*", self._route)
        self.page.goto(address)
        expect(self.page.locator("#classify")).to_be_visible(timeout=PATIENCE)
        self.page.wait_for_selector("body[data-keys]", timeout=PATIENCE)

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and not HARMLESS.search(text):
            self.errors.append(text)

    def _route(self, route) -> None:
        if re.match(r"(https?://(127\.0\.0\.1|localhost)[:/])|data:|blob:", route.request.url):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def close(self) -> None:
        self.context.close()
        assert self.outside == []
        assert self.errors == []


@contextmanager
def served() -> Iterator[str]:
    """Serve the app and give its address."""
    demo = app.build()
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **app.launch_settings())
    yield address
    demo.close()


@contextmanager
def started(chromium: str) -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: str, tab: str, button: str, count: int = 1) -> Iterator[list[Visit]]:
    """Open a tab of one app for so many visitors; `button` is what shows when it is there."""
    with served() as address, started(chromium) as browser:
        opened = [Visit(browser, address) for _ in range(count)]
        for visit in opened:
            visit.page.get_by_role("tab", name=tab, exact=True).click()
            expect(visit.page.locator(button)).to_be_visible(timeout=PATIENCE)
        yield opened
        for visit in opened:
            visit.close()
