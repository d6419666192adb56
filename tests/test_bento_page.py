"""The page in a real browser, on a really served Bento: searching, its address, its pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.pages import EVENLY, FREE, Proxy, answered, asked, ids, opened, search
from tests.toy import NAMES

if TYPE_CHECKING:
    from tests.serving import Served

pytest_plugins = ["tests.serving", "tests.pages"]
pytestmark = pytest.mark.slow
COUNT_MOVES = """() => {
    const animate = Element.prototype.animate;
    Element.prototype.animate = function (...given) {
        window.moves = (window.moves ?? 0) + 1;
        return animate.apply(this, given);
    };
}"""


def test_known_category_shows_results_and_imagined_pictures(
    page: Page, complaints: list[str]
) -> None:
    expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
    expect(page.get_by_role("heading", name="The model imagines")).to_be_visible()
    search(page, NAMES[0])
    answered(page, NAMES[0])
    expect(page.get_by_role("status")).to_contain_text("a known category")
    expect(page.locator("#hits > li")).to_have_count(24)
    expect(page.locator("#imagined .frame img")).to_have_count(2)
    assert page.locator("#hits .score [role=img]").count() == 24
    page.evaluate("Promise.all([...document.images].map((i) => i.decode()))")  # or it is rejected
    assert page.locator("#hits img").first.evaluate(
        "(i) => [i.naturalWidth, getComputedStyle(i).imageRendering]"
    ) == [32, "pixelated"]
    expect(page.locator("#lambda")).to_contain_text("λ = ")
    expect(page.locator("#lineage")).to_contain_text("bundle version 3")
    assert complaints == []


def test_a_category_is_asked_for_by_descriptions_and_the_address_keeps_it(page: Page) -> None:
    search(page, NAMES[0])
    answered(page, NAMES[0])
    page.get_by_text("Options and filters").click()
    page.get_by_label("Ask for a known category").select_option("by both")
    expect(page.locator("#chips")).to_contain_text("by name and descriptions")
    assert "kind=both" in page.url
    page.get_by_label("That is, in other words").fill("crimson and bright")
    page.get_by_label("That is, in other words").press("Tab")
    expect(page.locator("#chips")).to_contain_text("that is: crimson and bright")
    answered(page, NAMES[0])
    page.reload()
    expect(page.locator("#chips")).to_contain_text("that is: crimson and bright")
    search(page, NAMES[1])
    expect(page.locator("#chips > li")).to_have_count(0)


def test_a_slip_is_a_question_and_its_answer_a_search(page: Page) -> None:
    search(page, NAMES[0].replace("plain", "plian"))
    expect(page.locator("#notices")).to_contain_text("Did you mean")
    page.get_by_role("button", name=NAMES[0], exact=True).last.click()
    answered(page, NAMES[0])
    expect(page.locator("#notices > li")).to_have_count(0)


def test_text_answers_first_then_pictures_arrive_one_by_one_and_hits_move(
    browser: Browser, served: Served, complaints: list[str]
) -> None:
    proxy = Proxy(served.url)
    for motion in ("no-preference", "reduce"):
        with opened(browser, proxy.url, complaints, EVENLY, reduced_motion=motion) as page:
            page.evaluate(COUNT_MOVES)
            proxy.hold()
            search(page, f"{FREE}, {motion}")
            expect(page.locator("#imagined .waiting")).to_have_count(2)
            expect(page.locator("#hits > li")).to_have_count(0)
            proxy.step()
            expect(page.locator("#hits > li")).to_have_count(24)
            expect(page.get_by_role("status")).to_contain_text("0 of 2 pictures have arrived")
            proxy.step()
            expect(page.get_by_role("status")).to_contain_text("1 of 2 pictures have arrived")
            expect(page.locator("#imagined img")).to_have_count(1)
            expect(page.locator("#imagined .waiting")).to_have_count(1)
            proxy.step()
            expect(page.locator("#imagined img")).to_have_count(2)
            first = ids(page)
            page.evaluate("window.moves = 0")
            proxy.release()
            answered(page, f"{FREE}, {motion}")
            assert ids(page) != first
            assert page.locator("#hits .move.up, #hits .move.new").count() > 0
            assert (page.evaluate("window.moves") > 0) == (motion == "no-preference")
    proxy.close()
    assert complaints == []


def test_a_newer_search_ends_the_older_one(
    browser: Browser, served: Served, complaints: list[str]
) -> None:
    proxy = Proxy(served.url)
    with opened(browser, proxy.url, complaints) as page:
        proxy.hold()
        search(page, FREE)
        proxy.step()
        expect(page.locator("#hits > li")).to_have_count(24)
        with page.expect_event("requestfailed", lambda r: r.url.endswith("/search/stream")):
            search(page, NAMES[1])
        proxy.release()
        answered(page, NAMES[1])
        expect(page.get_by_role("alert")).to_be_hidden()
    proxy.close()


def test_example_and_free_phrase_by_keyboard(page: Page, complaints: list[str]) -> None:
    example = page.get_by_role("group", name="Example queries").get_by_role("button").first
    query = example.inner_text()
    example.focus()
    page.keyboard.press("Enter")
    answered(page, query)
    search(page, FREE)
    for _ in range(2):  # the second answer is remembered
        answered(page, FREE)
        expect(page.get_by_role("status")).to_contain_text("no category, so it was imagined")
        expect(page.locator("#imagined img")).to_have_count(2)
        page.reload()
    assert complaints == []


def test_what_is_typed_or_asked_while_the_page_loads_counts(page: Page, served: Served) -> None:
    held: list[Route] = []

    def let_go() -> None:
        while not held:
            page.wait_for_timeout(20)
        held.pop().continue_()
        expect(page.locator("#lineage")).to_contain_text("bundle version 3")

    page.route("**/bundle", lambda route: held.append(route))
    page.goto(f"{served.url}/{EVENLY}")
    page.get_by_label("What to look for").fill(NAMES[1])
    let_go()
    expect(page.get_by_label("What to look for")).to_have_value(NAMES[1])
    bodies = asked(page)
    page.reload()
    search(page, NAMES[2])
    let_go()
    answered(page, NAMES[2])
    assert bodies == [{"query": NAMES[2], "k": 24, "weight": 0.5}]


def test_address_keeps_the_search(page: Page) -> None:
    page.get_by_text("Options and filters").click()
    page.get_by_label("Pictures on a page").select_option("12")
    search(page, NAMES[1])
    expect(page.locator("#hits > li")).to_have_count(12)
    assert page.url.endswith(f"?q={NAMES[1].replace(' ', '+')}&k=12")
    page.reload()
    expect(page.locator("#hits > li")).to_have_count(12)
    expect(page.get_by_label("What to look for")).to_have_value(NAMES[1])
    page.go_back()
    expect(page.get_by_role("status")).to_contain_text("Nothing searched yet")
    expect(page.locator("#answer")).to_be_hidden()


def test_a_shared_address_asks_for_the_same(page: Page, served: Served) -> None:
    bodies = asked(page)
    page.goto(
        f"{served.url}/?q=star&k=12&mode=fused&weight=0.3&drop={'a' * 64}&images=3&seed=7"
        f"&exclude=red&filter=category:{NAMES[1]}&filter=category:{NAMES[2]}&group=1&compare=1"
    )
    answered(page, "star")
    assert bodies == [
        {
            "query": "star",
            "k": 12,
            "mode": "fused",
            "weight": 0.3,
            "drop": ["a" * 64],
            "images": 3,
            "seed": 7,
            "exclude": "red",
            "filter": {"category": [NAMES[1], NAMES[2]]},
            "group": True,
        }
    ]
    expect(page.locator("#columns")).to_be_visible()
    for chip in ("not: red", "seed 7", "3 imagined pictures", f"category: {NAMES[1]}"):
        expect(page.get_by_role("button", name=f"Remove {chip}")).to_be_visible()


def test_any_filter_and_any_page_survive_an_address(page: Page) -> None:
    roundtrip = """async (state) => {
        const { DEFAULTS, read, write } = await import("./address.js");
        return read(write({ ...DEFAULTS, ...state }));
    }"""
    given = {"filter": {"a:b%3A": ["c:d", "e"], "ü %": [":"]}, "page": 4167}
    read = page.evaluate(roundtrip, given)
    assert {name: read[name] for name in given} == given
    assert page.evaluate(roundtrip, {"page": 83, "group": True})["page"] == 83
    assert page.evaluate(roundtrip, {"page": 84, "group": True})["page"] == 1


@pytest.mark.parametrize("rest", ["", "&k=", "&k=13", "&k=-1e9", "&page=0&weight=2&images=99"])
def test_an_address_that_makes_no_sense_gives_the_default(
    page: Page, served: Served, rest: str
) -> None:
    bodies = asked(page)
    page.goto(f"{served.url}/?q={NAMES[1]}{rest}")
    answered(page, NAMES[1])
    assert bodies == [{"query": NAMES[1], "k": 24}]


@pytest.mark.parametrize(("natural", "scaling"), [(32, "pixelated"), (150, "auto"), (256, "auto")])
def test_pixel_art_stays_sharp_and_photographs_are_smooth(
    page: Page, natural: int, scaling: str
) -> None:
    search(page, NAMES[0])
    answered(page, NAMES[0])
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
    expect(image).to_have_css("image-rendering", scaling)


def test_markup_in_a_query_stays_text(page: Page, complaints: list[str]) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\">"
    search(page, markup)
    answered(page, markup)
    expect(page.locator("#hits > li")).to_have_count(24)
    assert page.title() == f"{markup} · Eidolon"
    assert page.locator("img[src=x]").count() == 0
    assert complaints == []


def test_documentation_renders(page: Page, served: Served, complaints: list[str]) -> None:
    page.goto(f"{served.url}/docs")
    expect(page.locator(".opblock-post").filter(has_text="/search/stream")).to_be_visible()
    expect(page.get_by_text("/images/{id}")).to_be_visible()
    assert complaints == []
