"""The page in a real browser, on a Bento that is really served with keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from bento import server
from tests.pages import FREE, answered, opened, search
from tests.serving import Built

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow
KEY = "0123456789abcdef"
STARTS = 300.0  # seconds, on a busy machine
OPEN_URLS = """() => {
    window.live = new Set();
    const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
    URL.createObjectURL = (of) => { const url = create(of); window.live.add(url); return url; };
    URL.revokeObjectURL = (url) => { window.live.delete(url); revoke(url); };
}"""


@pytest.fixture(scope="module")
def keyed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the toy's Bento, which asks for a key."""
    place = tmp_path_factory.mktemp("keyed")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in built.environment.items():
            patch.setenv(name, value)
        with server.served(built.tag, place, STARTS, f"alice:{KEY}") as url:
            yield url


@pytest.fixture
def page(browser: Browser, keyed: str, complaints: list[str]) -> Iterator[Page]:
    """A page that was given the key."""
    with opened(browser, keyed, complaints) as page:
        give(page, KEY)
        expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
        complaints.clear()  # Chromium says each 401 in its console
        yield page


def give(page: Page, key: str) -> None:
    page.get_by_label("This service asks for a key.").fill(key)
    page.get_by_role("button", name="Use this key").click()


def test_a_wrong_key_is_said_to_be_wrong(browser: Browser, keyed: str) -> None:
    with opened(browser, keyed, []) as page:
        wrong = page.get_by_text("The service does not know this key.")
        expect(page.get_by_label("This service asks for a key.")).to_be_focused()
        expect(wrong).to_be_hidden()
        give(page, "fedcba9876543210")
        expect(wrong).to_be_visible()
        expect(page.get_by_label("This service asks for a key.")).to_be_focused()
        give(page, f" {KEY} ")
        expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
        expect(wrong).to_be_hidden()
        page.reload()  # the tab keeps the key
        expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")


def test_with_a_key_every_picture_is_shown_and_nothing_is_kept(
    page: Page, complaints: list[str]
) -> None:
    page.evaluate(OPEN_URLS)
    search(page, FREE)
    answered(page, FREE)
    expect(page.locator("#imagined img")).to_have_count(2)
    page.wait_for_function("[...document.images].every((i) => i.naturalWidth > 0)")
    page.wait_for_function("window.live.size === 0")
    picture = page.locator("#hits img").first.evaluate(
        """async (image) => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext("2d").drawImage(image, 0, 0);
            return canvas.toDataURL().split(",")[1];
        }"""
    )
    data = base64.b64decode(picture)
    page.locator("#file").set_input_files(
        FilePayload(name="mine.png", mimeType="image/png", buffer=data)
    )
    expect(page.get_by_role("status")).to_contain_text("most similar")
    own = page.get_by_role("img", name="your picture mine.png")
    page.wait_for_function("(i) => i.naturalWidth > 0", arg=own.element_handle())
    page.wait_for_function("window.live.size === 0")
    assert complaints == []


def test_with_a_key_the_lineage_opens(page: Page, complaints: list[str]) -> None:
    search(page, FREE)
    answered(page, FREE)
    with page.expect_popup() as opening:
        page.get_by_role("link", name="Lineage as JSON").click()
    expect(opening.value.locator("body")).to_contain_text('"digest"')
    page.locator("#hits .open").first.click()
    with page.expect_popup() as opening:
        page.get_by_role("dialog").get_by_role("link", name="lineage").click()
    expect(opening.value.locator("body")).to_contain_text('"digest"')
    assert complaints == []
