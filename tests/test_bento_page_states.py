"""The page in a real browser: what it shows when something is wrong, missing or unsure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.pages import FREE, answer, answered, refuses, search, streams
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow


def test_errors_are_shown(page: Page) -> None:
    alert = page.get_by_role("alert")
    search(page, "   ")
    expect(alert).to_have_text("Type what to look for.")
    search(page, "x" * 11_000)
    expect(alert).to_contain_text("Query")
    expect(page.locator("#answer")).to_be_hidden()
    page.context.set_offline(True)
    search(page, NAMES[0])
    expect(alert).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    answered(page, NAMES[0])
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(alert).to_be_hidden()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("saturated", "Many texts are waiting"),
        ("slow", "took too long"),
        ("unavailable", "is not running"),
        ("failed", "could not draw"),
        ("unfit", "No imagined picture was fit"),
        ("disagreeing", "show your words poorly"),
    ],
)
def test_a_degraded_answer_says_why(page: Page, served: Served, code: str, sentence: str) -> None:
    text = answer(page, served, NAMES[0], mode="text", k=24)
    streams(page, ("text", text), ("fused", text | {"degraded": code}), ("done", {}))
    search(page, NAMES[0])
    answered(page, NAMES[0])
    notice = page.locator("#notices")
    expect(notice).to_contain_text(sentence)
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#imagination")).to_be_hidden()
    if code != "unfit":
        page.unroute("**/search/stream")
        name = "Rank by them anyway" if code == "disagreeing" else "Try again"
        notice.get_by_role("button", name=name).click()
        expect(page.locator("#imagined img")).to_have_count(2)
        expect(notice).to_be_hidden()


def test_pictures_that_were_not_fit_are_struck_out_with_their_reason(
    page: Page, served: Served
) -> None:
    full = answer(page, served, NAMES[0], k=24)
    first = full["imagined"][0] | {"kept": False, "why": "is blurred", "weight": None}
    imagined = [first, *full["imagined"][1:]]
    streams(page, ("text", full), ("fused", full | {"imagined": imagined}), ("done", {}))
    search(page, NAMES[0])
    answered(page, NAMES[0])
    expect(page.locator("#imagined .left-out")).to_contain_text("is blurred")
    page.locator("#imagined .left-out .open").click()
    expect(page.get_by_role("dialog")).to_contain_text("Not used: this picture is blurred.")


@pytest.mark.parametrize("last", ["nothing", "error"])
def test_a_stream_that_breaks_off_keeps_the_text_hits(
    page: Page, served: Served, last: str
) -> None:
    text = answer(page, served, NAMES[0], mode="text", k=24)
    said = [("error", {"error": "the generator burnt down"}), ("done", {})]
    streams(page, ("text", text), *(said if last == "error" else []))
    search(page, NAMES[0])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("broke off" if last == "nothing" else "burnt down")
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(page.locator("#imagined .waiting")).to_have_count(0)
    page.unroute("**/search/stream")
    alert.get_by_role("button", name="Try again").click()
    answered(page, NAMES[0])
    expect(alert).to_be_hidden()
    expect(page.locator("#imagined img")).to_have_count(2)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_says_how_long_to_wait(page: Page, status: int) -> None:
    refuses(page, status, "too many requests", Retry_After="2")
    search(page, NAMES[0])
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Too many requests. Try again in 2 seconds.")
    expect(alert).not_to_contain_text("best in")  # once it is over
    page.unroute("**/search/stream")
    alert.get_by_role("button", name="Try again").click()
    answered(page, NAMES[0])


def test_nothing_relevant_dims_the_hits(page: Page, served: Served) -> None:
    full = answer(page, served, NAMES[0], k=24) | {"relevant": False, "confidence": 0.02}
    streams(page, ("text", full), ("fused", full), ("done", {}))
    search(page, NAMES[0])
    expect(page.get_by_text("Nothing in this gallery seems to fit.")).to_be_visible()
    expect(page.locator("#hits")).to_have_class("faint")
    page.unroute("**/search/stream")
    search(page, NAMES[1])
    answered(page, NAMES[1])
    expect(page.locator("#hits")).not_to_have_class("faint")


@pytest.mark.parametrize(
    ("confidence", "sentence"), [(0.9, "very likely has"), (0.5, "may have"), (0.1, "hardly has")]
)
def test_confidence_is_a_sentence(
    page: Page, served: Served, confidence: float, sentence: str
) -> None:
    full = answer(page, served, NAMES[0], k=24) | {"relevant": True, "confidence": confidence}
    streams(page, ("text", full), ("fused", full), ("done", {}))
    search(page, NAMES[0])
    expect(page.locator("#confidence")).to_contain_text(sentence)
    expect(page.get_by_label(f"Confidence {round(100 * confidence)} %")).to_be_visible()


def test_unknown_words_and_long_texts_are_told(page: Page, served: Served) -> None:
    full = answer(page, served, NAMES[0], k=24)
    told = full | {"unknown_words": ["zyx", "<b>"], "truncated": True}
    streams(page, ("text", told), ("fused", told), ("done", {}))
    search(page, NAMES[0])
    expect(page.locator("#notices")).to_contain_text("does not know: “zyx”, “<b>”.")
    expect(page.locator("#notices")).to_contain_text("too long for the text encoder")


def test_no_picture_passes_the_filter(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/?q={NAMES[0]}&filter=split:nowhere")
    expect(page.get_by_role("button", name="Remove split: nowhere")).to_be_visible()
    told = page.locator("#status, #error").filter(has_text=re.compile("No pictures|split"))
    expect(told).to_be_visible()


def test_near_duplicates_are_counted(page: Page, served: Served) -> None:
    full = answer(page, served, NAMES[0], k=24)
    full["hits"][0]["count"] = 3
    streams(page, ("text", full), ("fused", full), ("done", {}))
    page.goto(f"{served.url}/?q={NAMES[0]}&group=1")
    expect(page.locator("#hits .count").first).to_have_text("×3")
    expect(page.locator("#hits .count").nth(1)).to_be_hidden()
    group = page.get_by_role("button", name="Group near-duplicates")
    expect(group).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(
    ("page_number", "groups", "said", "more"),
    [
        (1, 103, "Page 1 of 5", True),
        (5, 103, "Page 5 of 5", False),
        (83, 1999, "Page 83 of 83", False),
    ],
)
def test_groups_of_near_duplicates_have_no_more_pages_than_there_are(
    page: Page, served: Served, page_number: int, groups: int, said: str, more: bool
) -> None:
    full = answer(page, served, NAMES[0], k=24) | {"total": groups}
    streams(page, ("text", full), ("fused", full), ("done", {}))
    page.goto(f"{served.url}/?q={NAMES[0]}&group=1&page={page_number}")
    expect(page.locator("#page")).to_have_text(said)
    expect(page.get_by_role("button", name="Next")).to_be_enabled(enabled=more)


def test_missing_pictures_are_told_with_their_reason(page: Page, served: Served) -> None:
    full = answer(page, served, FREE, k=24) | {"missing": {"count": 2, "why": "saturated"}}
    streams(page, ("text", full), ("fused", full), ("done", {}))
    search(page, FREE)
    said = "Many texts are waiting to be drawn, so 2 imagined pictures are missing."
    expect(page.locator("#notices")).to_contain_text(said)
    expect(page.locator("#notices").get_by_role("button", name="Try again")).to_be_visible()


def test_pictures_that_never_arrive_are_said_not_to(page: Page, served: Served) -> None:
    full = answer(page, served, FREE, k=24)
    first = full["imagined"][:1]
    streams(page, ("text", full), ("imagined", first[0]), ("fused", full | {"imagined": first}))
    search(page, FREE)
    never = page.locator("#imagined > li").filter(has_text="not drawn")
    expect(never).to_have_count(1)
    expect(page.locator("#imagined img")).to_have_count(1)
    streams(page, ("text", full), ("imagined", first[0]))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("broke off")
    expect(never).to_have_count(1)
    page.unroute("**/search/stream")
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    answered(page, FREE)
    expect(page.locator("#imagined img")).to_have_count(2)
    expect(never).to_have_count(0)


def test_a_picture_from_beyond_the_ranks_by_words_that_are_loaded(
    page: Page, served: Served
) -> None:
    text = answer(page, served, FREE, mode="text", k=24)
    fused = answer(page, served, FREE, k=24)
    hit = fused["hits"][0]
    text["hits"] = [one for one in text["hits"] if one["id"] != hit["id"]][:12]
    streams(page, ("text", text), ("fused", fused | {"hits": [hit]}), ("done", {}))
    page.goto(f"{served.url}/?q={FREE}&k=12")
    move = page.locator("#hits .move")
    expect(move).to_contain_text("from 13+")
    expect(move).to_have_attribute("title", "up from beyond 12, against words alone")
