"""The page in a real browser, on a really served Bento."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import browser as browsers
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving"]
pytestmark = pytest.mark.slow
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 60_000  # ms: a free phrase is imagined on a busy machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        program = browsers.bring()
    except browsers.NoBrowserError as error:
        pytest.fail(str(error), pytrace=False)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=program, args=ARGUMENTS, env=browsers.environment(program)
        )


@pytest.fixture
def complaints() -> list[str]:
    """Messages of the browser's console, and the addresses outside the server that it asked for."""
    return []


@pytest.fixture
def page(browser: Browser, served: Served, complaints: list[str]) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith((served.url, "data:")) else complaints.append(r.url),
    )
    page.goto(served.url)
    yield page
    page.close()


def search(page: Page, query: str) -> None:
    page.get_by_label("What to look for").fill(query)
    page.keyboard.press("Enter")


def test_known_category_shows_results_and_imagined_pictures(
    page: Page, complaints: list[str]
) -> None:
    expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
    search(page, NAMES[0])
    expect(page.get_by_role("status")).to_contain_text("a known category")
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(page.locator("#imagined img")).to_have_count(2)
    assert page.locator("#hits .bar").count() == 4 * 24
    expect(page.locator("#hits .hubness").first).to_be_visible()
    page.evaluate(
        "Promise.all([...document.images].map((i) => i.decode()))"
    )  # or the promise is rejected
    drawn = page.locator("#hits img").first.evaluate(
        "(i) => [i.width, i.height, getComputedStyle(i).imageRendering]"
    )
    assert drawn == [96, 96, "pixelated"]
    expect(page.locator("#weight")).to_contain_text("λ = ")
    expect(page.locator("#lineage")).to_contain_text("bundle version 3")
    assert complaints == []


def test_example_and_free_phrase_by_keyboard(page: Page, complaints: list[str]) -> None:
    example = page.get_by_role("group", name="Example queries").get_by_role("button").last
    example.focus()
    page.keyboard.press("Enter")
    for _ in range(2):  # the second answer is remembered
        expect(page.get_by_role("status")).to_contain_text(
            "no category, so it was imagined", timeout=PATIENCE
        )
        expect(page.locator("#imagined img")).to_have_count(2)
        expect(page.locator("#hits .hubness").first).to_be_hidden()  # it is not corrected
        expect(page.locator(".legend .hubness")).to_be_hidden()
        page.reload()
    with page.expect_download() as download:  # new text has no address on the server
        page.locator("#imagined a").first.click()
    assert download.value.suggested_filename.endswith(".png")
    assert complaints == []


def test_address_keeps_the_query(page: Page, served: Served) -> None:
    page.get_by_label("How many pictures").select_option("12")
    search(page, NAMES[1])
    expect(page.locator("#hits > li")).to_have_count(12)
    assert "?q=" in page.url
    page.reload()
    expect(page.locator("#hits > li")).to_have_count(12)
    expect(page.get_by_label("What to look for")).to_have_value(NAMES[1])
    page.go_back()
    expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
    expect(page.locator("#answer")).to_be_hidden()


@pytest.mark.parametrize("rest", ["", "&k=", "&k=13", "&k=-1e9"])
def test_address_without_a_count_gives_24(page: Page, served: Served, rest: str) -> None:
    page.goto(f"{served.url}/?q={NAMES[1]}{rest}")
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(page.get_by_label("How many pictures")).to_have_value("24")


def test_a_picture_links_to_itself(page: Page, served: Served) -> None:
    search(page, NAMES[0])
    link = page.locator("#hits a").first
    address = link.get_attribute("href")
    assert address and address.startswith("/picture/gallery/")
    link.click()
    page.wait_for_url(f"{served.url}{address}")


@pytest.mark.parametrize(
    ("natural", "drawn", "scaling"),
    [(32, 96, "pixelated"), (150, 150, "auto"), (256, 192, "auto")],
)
def test_pictures_are_drawn_by_their_own_size(
    page: Page, natural: int, drawn: int, scaling: str
) -> None:
    search(page, NAMES[0])
    image = page.locator("#hits img").first
    image.evaluate(
        """async (image, side) => {
            await image.decode();
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = side;
            image.src = canvas.toDataURL();
        }""",
        natural,
    )
    page.wait_for_function(
        "([i, n]) => i.naturalWidth === n && i.complete", arg=[image.element_handle(), natural]
    )
    expect(image).to_have_css("width", f"{drawn}px")
    expect(image).to_have_css("height", f"{drawn}px")
    expect(image).to_have_css("image-rendering", scaling)


def test_markup_in_a_query_stays_text(page: Page, complaints: list[str]) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\">"
    search(page, markup)
    expect(page.get_by_role("status")).to_contain_text(markup, timeout=PATIENCE)
    expect(page.locator("#hits > li")).to_have_count(24, timeout=PATIENCE)
    assert page.title() == "Eidolon"
    assert page.locator("img[src=x]").count() == 0
    assert complaints == []


def test_errors_are_shown(page: Page) -> None:
    alert = page.get_by_role("alert")
    search(page, "   ")
    expect(alert).to_have_text("Type what to look for.")
    page.locator("#query").evaluate("(q) => q.removeAttribute('maxlength')")
    search(page, "x" * 301)
    expect(alert).to_contain_text("a query has 1 to 300 characters")
    expect(page.locator("#answer")).to_be_hidden()
    page.context.set_offline(True)
    search(page, NAMES[0])
    expect(alert).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    search(page, NAMES[0])
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(alert).to_be_hidden()


def test_documentation_renders(page: Page, served: Served, complaints: list[str]) -> None:
    page.goto(f"{served.url}/docs")
    expect(page.locator(".opblock-post")).to_contain_text("/search")
    expect(page.get_by_text("/picture/{id}")).to_be_visible()
    assert complaints == []
