"""Takes the screenshots of the search page that the documents show: `python -m tests.screenshots`.

It needs a served bundle of the embedded world (`make serve`), and the browser of the tests
(`make browser`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import httpx
import typer
from playwright.sync_api import Page, ViewportSize, sync_playwright

from components.errors import one_sentence
from tests import browser

FOLDER = Path("docs/images")
DESKTOP: ViewportSize = {"width": 1180, "height": 1080}
PHONE: ViewportSize = {"width": 375, "height": 812}
FIRST = "a blue ring"  # the first text that is drawn waits for the models
QUERY = "a red star, striped"


def ask(page: Page, url: str, query: str = QUERY, rest: str = "") -> None:
    """Open a search, and wait for its final answer."""
    page.goto(f"{url}/?q={query.replace(' ', '+')}{rest}")
    page.locator("#imagined img").nth(5).wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)  # hits move to their places


def main(
    url: Annotated[str, typer.Argument(help="where the service is")] = "http://127.0.0.1:3000",
) -> None:
    """Write docs/images/page.png, page-compare.png and page-phone.png."""
    program = browser.bring()
    while httpx.get(f"{url}/health", trust_env=False).json()["imaginer"] != "up":
        time.sleep(1)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"], env=browser.environment(program)
        )
        page = started.new_page(viewport=DESKTOP)
        ask(page, url, FIRST)
        ask(page, url)
        page.screenshot(path=FOLDER / "page.png")
        ask(page, url, rest="&compare=1")
        page.screenshot(path=FOLDER / "page-compare.png")
        phone = started.new_page(viewport=PHONE, color_scheme="dark")
        ask(phone, url)
        phone.screenshot(path=FOLDER / "page-phone.png")
        started.close()


if __name__ == "__main__":
    with one_sentence():
        typer.run(main)
