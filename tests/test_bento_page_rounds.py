"""The page in a real browser: another round with other pictures, words, weights and filters."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.pages import EVENLY, FREE, answered, asked, ids, search
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow
FILES = """([data, kind]) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const carried = new DataTransfer();
    carried.items.add(new File([bytes], "mine.png", { type: "image/png" }));
    const event = kind === "paste"
        ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true });
    document.body.dispatchEvent(event);
}"""


@pytest.fixture
def free(page: Page, served: Served) -> Page:
    """A page with the answer to a free phrase."""
    page.goto(f"{served.url}/{EVENLY}")
    search(page, FREE)
    answered(page, FREE)
    return page


def test_dropping_a_picture_and_using_it_again(free: Page, complaints: list[str]) -> None:
    bodies, before = asked(free), ids(free)
    free.locator("#imagined").get_by_role("button", name="Leave it out").first.click()
    left = free.locator("#imagined .left-out")
    expect(left).to_have_count(1)
    expect(left).to_contain_text("dropped")
    answered(free, FREE)
    assert len(bodies[0]["drop"]) == 1
    assert ids(free) != before
    assert bodies[0]["drop"][0] in free.url
    left.get_by_role("button", name="Use it again").click()
    expect(left).to_have_count(0)
    answered(free, FREE)
    assert ids(free) == before
    assert complaints == []


def test_redrawing_a_picture_draws_another_instead(free: Page) -> None:
    bodies = asked(free)
    free.locator("#imagined").get_by_role("button", name="Draw another instead").first.click()
    expect(free.locator("#imagined .left-out")).to_have_count(1)
    expect(free.locator("#imagined img")).to_have_count(3)
    answered(free, FREE)
    assert (bodies[0]["images"], len(bodies[0]["drop"])) == (3, 1)


def test_details_of_an_imagined_picture_lead_to_another_round(free: Page, served: Served) -> None:
    free.locator("#imagined .open").first.click()
    dialog = free.get_by_role("dialog", name="Imagined picture 1")
    expect(dialog).to_contain_text("share of attention")
    expect(dialog).to_contain_text("agreement")
    dialog.get_by_role("button", name="Change the words").click()
    expect(dialog).to_be_hidden()
    expect(free.get_by_label("What to look for")).to_be_focused()
    bodies = asked(free)
    free.get_by_role("button", name="All again").click()
    answered(free, FREE)
    usual: int = free.request.get(f"{served.url}/bundle").json()["generator"]["seed"]
    expect(free.get_by_role("button", name=f"Remove seed {usual + 1}")).to_be_visible()
    free.get_by_role("button", name="One more").click()
    expect(free.locator("#imagined img")).to_have_count(3)
    assert [body.get("seed") for body in bodies] == [usual + 1] * 2


def test_the_slider_ranks_again(free: Page) -> None:
    slider = free.get_by_role("slider", name="Share of the imagined pictures")
    before = ids(free)
    slider.fill("0")
    expect(free.locator("#lambda")).to_have_text("λ = 0.00")
    free.wait_for_url("**weight=0*")
    answered(free, FREE)
    expect(free.locator("#hits .move.up")).to_have_count(0)
    assert ids(free) != before
    slider.fill("0.5")
    free.wait_for_url("**weight=0.5*")
    answered(free, FREE)
    assert ids(free) == before
    free.get_by_role("button", name="Reset").click()
    answered(free, FREE)
    assert "weight" not in free.url


def test_comparing_with_text_alone(free: Page, complaints: list[str]) -> None:
    free.get_by_role("button", name="Compare with text alone").click()
    for name in ("Words alone", "With imagination"):
        expect(free.get_by_role("region", name=name).get_by_role("listitem")).to_have_count(24)
    fused = free.get_by_role("region", name="With imagination")
    expect(fused.locator(".move.up, .move.new").first).to_be_visible()
    expect(free.locator("#columns path").first).to_be_attached()
    fused.get_by_role("button").first.click()
    expect(free.get_by_role("dialog")).to_contain_text("Rank 1 of 32")
    free.keyboard.press("Escape")
    assert "compare=1" in free.url
    free.get_by_role("button", name="Compare with text alone").click()
    expect(free.locator("#hits > li")).to_have_count(24)
    assert complaints == []


def test_more_like_this(free: Page, complaints: list[str]) -> None:
    hit = ids(free)[2]
    free.locator("#hits > li").nth(2).get_by_role("button", name="More like this").click()
    expect(free.get_by_role("status")).to_contain_text("24 most similar of 31")
    assert hit not in ids(free)
    expect(free.locator("#asked-picture img")).to_be_visible()
    expect(free.locator("#imagination")).to_be_hidden()
    free.reload()
    expect(free.get_by_role("status")).to_contain_text("most similar")
    free.get_by_role("button", name="Remove the picture").click()
    expect(free.get_by_role("status")).to_contain_text("Nothing searched yet")
    assert complaints == []


@pytest.mark.parametrize("way", ["paste", "drop", "choose"])
def test_a_picture_of_ones_own_is_a_query(
    page: Page, served: Served, complaints: list[str], way: str
) -> None:
    search(page, NAMES[0])
    answered(page, NAMES[0])
    address = page.locator("#hits img").first.evaluate("(image) => image.src")
    data = page.request.get(address).body()
    first = ids(page)[0]
    if way == "choose":
        file = FilePayload(name="mine.png", mimeType="image/png", buffer=data)
        page.locator("#file").set_input_files(file)
    else:
        page.evaluate(FILES, [base64.b64encode(data).decode(), way])
    expect(page.get_by_role("status")).to_contain_text("most similar")
    assert ids(page)[0] == first
    expect(page.get_by_role("img", name="your picture mine.png")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#hits > li")).to_have_count(8)
    page.go_back()
    expect(page.locator("#hits > li")).to_have_count(24)
    page.go_back()
    answered(page, NAMES[0])
    assert complaints == []


def test_filters_are_chips_that_can_be_removed(free: Page, complaints: list[str]) -> None:
    free.get_by_text("Options and filters").click()
    expect(free.locator("#values option")).to_have_count(len(NAMES))
    free.get_by_label("Value", exact=True).fill(NAMES[3])
    free.keyboard.press("Enter")
    expect(free.locator("#hits > li")).to_have_count(4)
    answered(free, FREE)
    free.get_by_label("Value", exact=True).fill(NAMES[4])
    free.get_by_role("button", name="Add filter").click()
    expect(free.locator("#hits > li")).to_have_count(8)
    answered(free, FREE)
    free.get_by_role("button", name=f"Remove category: {NAMES[3]}").click()
    expect(free.locator("#hits > li")).to_have_count(4)
    assert all(NAMES[4].replace(" ", "_") in one for one in ids(free))
    answered(free, FREE)
    assert complaints == []
    free.get_by_label("Value", exact=True).fill("no such category")
    free.keyboard.press("Enter")
    expect(free.get_by_role("alert")).to_contain_text("no picture has the category")
    free.get_by_role("button", name="Remove category: no such").click()
    expect(free.locator("#hits > li")).to_have_count(4)


def test_paging_goes_on_where_the_page_ends(free: Page) -> None:
    first = ids(free)
    free.get_by_role("button", name="Next").click()
    expect(free.locator("#page")).to_have_text("Page 2 of 2")
    expect(free.locator("#hits > li")).to_have_count(8)
    answered(free, FREE)
    assert not set(ids(free)) & set(first)
    expect(free.locator("#hits .rank").first).to_have_text("25")
    expect(free.get_by_role("button", name="Next")).to_be_disabled()
    expect(free.locator("#hits .move.new").filter(has_text="from beyond")).to_have_count(0)
    free.get_by_role("button", name="Before").click()
    expect(free.locator("#page")).to_have_text("Page 1 of 2")
    answered(free, FREE)
    assert ids(free) == first


def test_marks_are_sent_with_the_answer_and_stay(free: Page) -> None:
    card = free.locator("#hits > li").first
    group = card.get_by_role("group", name="Is picture 1,")  # whatever its rank by words was
    expect(group).to_be_visible()
    right = card.get_by_role("button", name="Right:")
    wrong = card.get_by_role("button", name="Wrong:")
    expect(right).to_have_attribute("aria-pressed", "false")
    with free.expect_response("**/feedback") as sent:
        right.click()
    assert sent.value.status == 204
    body: Any = sent.value.request.post_data_json
    assert body["id"] == ids(free)[0]
    assert body["right"] is True
    expect(right).to_have_attribute("aria-pressed", "true")
    with free.expect_response("**/feedback"):
        wrong.click()
    expect(right).to_have_attribute("aria-pressed", "false")
    expect(wrong).to_have_attribute("aria-pressed", "true")
    card.get_by_role("button", name="open").click()
    dialog = free.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Wrong:")).to_have_attribute("aria-pressed", "true")
    free.keyboard.press("Escape")
    free.route("**/feedback", lambda route: route.fulfill(status=503, json={"error": "full"}))
    right.click()
    expect(free.get_by_role("status")).to_contain_text("could not be kept: full")
    expect(right).to_have_attribute("aria-pressed", "false")


def test_details_of_a_hit(page: Page, complaints: list[str]) -> None:
    search(page, NAMES[0])
    answered(page, NAMES[0])
    page.locator("#hits .open").first.click()
    dialog = page.get_by_role("dialog")
    for said in ("Rank 1 of 32", "fused score", "hubness", "version 3", "dataset", "clip@"):
        expect(dialog).to_contain_text(said)
    expect(dialog.get_by_text("original name")).to_be_visible()
    assert dialog.get_by_role("link", name="lineage").get_attribute("href") == "bundle"
    dialog.get_by_role("button", name="More like this").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text("most similar")
    assert complaints == []
