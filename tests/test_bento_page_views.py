"""The page in a real browser: by keyboard alone, on a phone, in the dark, under a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages import FREE, Proxy, answered, opened, search
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow
CONTRAST = """([front, back]) => {
    const light = (name) => {
        const probe = document.createElement("i");
        probe.style.color = `var(--${name})`;
        document.body.append(probe);
        const parts = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3);
        probe.remove();
        const [r, g, b] = parts.map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const both = [light(front), light(back)].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
}"""


def test_everything_by_keyboard_alone(page: Page, complaints: list[str]) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    expect(page.get_by_label("What to look for")).to_be_focused()
    page.keyboard.type(NAMES[0])
    page.keyboard.press("Enter")
    answered(page, NAMES[0])
    page.keyboard.press("ArrowDown")
    cards = page.locator("#hits .open")
    expect(cards.first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("Tab")  # to the marks of this card
    expect(page.locator("#hits > li").nth(1).get_by_role("button", name="Right:")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Rank 2 of")
    page.keyboard.press("ArrowRight")
    expect(dialog).to_contain_text("Rank 3 of")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cards.nth(2)).to_be_focused()
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**weight=*")
    answered(page, NAMES[0])
    assert complaints == []


def test_every_control_has_a_name(page: Page) -> None:
    search(page, NAMES[0])
    answered(page, NAMES[0])
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a[href], input:not([type=file]), select")]
            .filter((n) => n.checkVisibility() && !n.textContent.trim() && !n.ariaLabel
                && !n.labels?.length).map((n) => n.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("img:not([alt])").count() == 0
    expect(page.get_by_role("status")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("width", [375, 320])
def test_a_phone_shows_everything_without_scrolling_sideways(
    browser: Browser, served: Served, complaints: list[str], width: int
) -> None:
    view = {"width": width, "height": 700}
    with opened(browser, served.url, complaints, viewport=view, has_touch=True) as page:

        def fits() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") <= width

        fits()
        page.get_by_text("Options and filters").click()
        fits()
        search(page, NAMES[0])
        answered(page, NAMES[0])
        fits()
        page.locator("#hits > li").evaluate_all(
            "(l) => Promise.all(l.flatMap((n) => n.getAnimations().map((a) => a.finished)))"
        )
        boxes = [page.locator("#hits > li").nth(i).bounding_box() for i in range(2)]
        assert boxes[0] and boxes[1] and boxes[0]["y"] == boxes[1]["y"]  # two beside each other
        page.locator("#hits .open").first.tap()
        expect(page.get_by_role("dialog")).to_be_visible()
        fits()
        page.get_by_role("button", name="Close").tap()
        page.get_by_role("button", name="Compare with text alone").tap()
        expect(page.locator("#columns")).to_be_visible()
        fits()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_and_can_be_read(
    browser: Browser, served: Served, complaints: list[str], scheme: str
) -> None:
    with opened(browser, served.url, complaints, color_scheme=scheme) as page:
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert dark == ("rgb(19, 18, 24)" if scheme == "dark" else "rgb(246, 245, 242)")
        for back in ("ground", "card"):
            for front in ("ink", "quiet", "wrong"):
                assert page.evaluate(CONTRAST, [front, back]) >= 4.5, (front, back)
        assert page.evaluate(CONTRAST, ["on-fused", "fused"]) >= 4.5


def test_the_page_works_under_a_prefix(
    browser: Browser, served: Served, complaints: list[str]
) -> None:
    proxy = Proxy(served.url, "/some/where")
    with opened(browser, proxy.url, complaints) as page:
        search(page, FREE)
        answered(page, FREE)
        page.evaluate("Promise.all([...document.images].map((i) => i.decode()))")
        assert page.url.startswith(f"{proxy.url}/?q=")
        page.locator("#hits").get_by_role("button", name="More like this").first.click()
        expect(page.get_by_role("status")).to_contain_text("most similar")
        page.get_by_role("link", name="Eidolon").click()
        expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
        assert page.url == f"{proxy.url}/"
        page.get_by_role("link", name="API").click()
        expect(page.locator(".opblock-post").first).to_be_visible()
    proxy.close()
    assert complaints == []  # no address outside the prefix was asked for


def test_copying_the_link(browser: Browser, served: Served, complaints: list[str]) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    with opened(browser, served.url, complaints, permissions=allowed) as page:
        search(page, NAMES[2])
        answered(page, NAMES[2])
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("status")).to_have_text("The link to this search is copied.")
        assert page.evaluate("navigator.clipboard.readText()") == page.url
