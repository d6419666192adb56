"""The page in a real browser: searching by a picture of one's own."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.pages import FREE, answered, search

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow
FORM = """async ([search, name]) => {
    const { form, read } = await import("./address.js");
    return [...form(read(search), new File(["x"], name)).entries()]
        .map(([field, value]) => [field, value.name ?? value]);
}"""


def file(name: str, kind: str, colour: str = "red") -> FilePayload:
    """A picture whose format the suffix of ``name`` tells."""
    data = io.BytesIO()
    suffix = name.rpartition(".")[2]
    Image.new("RGB", (40, 40), colour).save(data, format={"tif": "TIFF"}.get(suffix, suffix))
    return FilePayload(name=name, mimeType=kind, buffer=data.getvalue())


def choose(page: Page, chosen: FilePayload) -> None:
    page.locator("#file").set_input_files(chosen)


@pytest.mark.parametrize("kind", ["image/tiff", ""])
def test_a_picture_that_only_the_service_can_decode(
    page: Page, complaints: list[str], kind: str
) -> None:
    choose(page, file("scan of a star.tif", kind))
    expect(page.get_by_role("status")).to_contain_text("24 most similar")
    expect(page.locator("#asked-picture")).to_contain_text("like scan of a star.tif")
    expect(page.locator("#asked-picture img")).to_have_count(0)
    assert complaints == []


def test_a_file_that_is_no_picture_is_refused(page: Page) -> None:
    alert = page.get_by_role("alert")
    choose(page, FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"notes"))
    expect(alert).to_contain_text("“notes.txt” is no picture.")
    choose(page, FilePayload(name="mine.png", mimeType="image/png", buffer=b"no picture"))
    expect(alert).to_contain_text("The picture")


def test_a_search_by_an_own_picture_has_no_link(page: Page) -> None:
    share = page.get_by_role("button", name="Copy link")
    choose(page, file("mine.png", "image/png"))
    expect(page.get_by_role("status")).to_contain_text("most similar")
    expect(share).to_be_disabled()
    search(page, FREE)
    answered(page, FREE)
    expect(share).to_be_enabled()


def test_after_a_reload_no_other_picture_takes_the_place_of_one(page: Page) -> None:
    choose(page, file("a.png", "image/png"))
    expect(page.get_by_role("img", name="your picture a.png")).to_be_visible()
    page.reload()
    gone = page.get_by_role("status").filter(has_text="The page no longer has it")
    expect(gone).to_be_visible()
    choose(page, file("b.png", "image/png", "blue"))
    expect(page.get_by_role("img", name="your picture b.png")).to_be_visible()
    page.go_back()
    expect(gone).to_be_visible()
    expect(page.locator("#asked-picture")).to_be_hidden()
    page.go_forward()
    expect(page.get_by_role("img", name="your picture b.png")).to_be_visible()


def test_a_picture_is_sent_with_page_filter_and_group(page: Page) -> None:
    sent: Any = page.evaluate(FORM, ["?k=12&page=3&filter=split:test&group=1", "mine.png"])
    assert sent == [
        ["image", "mine.png"],
        ["k", "12"],
        ["offset", "24"],
        ["group", "true"],
        ["filter", '{"split":["test"]}'],
    ]
    assert page.evaluate(FORM, ["", "mine.png"]) == [["image", "mine.png"], ["k", "24"]]
