"""`eidolon search` and `eidolon similar`: plain in a pipe, with pictures on a terminal."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from components.api.messages import Answer
from components.cli.search import KEY, PORT
from components.errors import EXIT_CODE, TRY_AGAIN
from tests.answering import HIT, IMAGINED, PICTURE, Fake, answer, event, fake, server
from tests.toy import ROOT

__all__ = ["fake", "server"]  # fixtures

START = (
    "import sys; from typer import Typer; from components.cli import search;"
    "from components.errors import one_sentence;"
    "app = Typer(pretty_exceptions_enable=False); app.add_typer(search.verbs)\n"
    "with one_sentence(): app(sys.argv[1:])"
)
HALF = "38;2;250;10;20;48;2;250;10;20m▀"  # a red half over a red half


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", START, *arguments]


def environment(**more: str) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in (KEY, "NO_COLOR", "COLORTERM")}
    return plain | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"} | more


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a verb with pipes."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        env=environment(**variables),
    )


def on_terminal(*arguments: str, size: tuple[int, int] = (40, 100), **variables: str) -> str:
    """Run a verb on a terminal that answers no question, and return all that it shows. ``size`` is
    its lines and columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    process = subprocess.Popen(
        command(*arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**variables),
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def asked(fake: Fake) -> dict[str, Any]:
    """The body of the first request."""
    body: dict[str, Any] = fake.asked[0][2]
    return body


def test_a_pipe_gets_lines_with_tabs(fake: Fake) -> None:
    done = run("search", "red star", "--url", fake.url)
    assert done.stdout == f"1\t0.5000\tred star\t{HIT['id']}\n"
    assert done.stderr == "" and done.returncode == 0
    assert [path for path, *_ in fake.asked] == ["search/stream"]


def test_json_is_the_answer(fake: Fake) -> None:
    done = run("search", "red star", "--json", "--url", fake.url)
    assert json.loads(done.stdout) == answer("red star")
    Answer.model_validate_json(done.stdout)


def test_all_options_are_sent(fake: Fake) -> None:
    options = "--k 3 --offset 6 --mode image --weight 0.5 --images 4 --seed 9 --exclude stripes"
    more = ["--drop", "a", "--drop", "b", "--group", "--kind", "both", "--description", "a disc"]
    filters = ["--filter", "split=unseen", "--filter", "split=train", "--filter", "source=a=b"]
    run("search", "red star", *options.split(), *more, *filters, "--url", fake.url)
    assert asked(fake) == {
        "query": "red star",
        "k": 3,
        "offset": 6,
        "mode": "image",
        "weight": 0.5,
        "images": 4,
        "seed": 9,
        "drop": ["a", "b"],
        "kind": "both",
        "description": "a disc",
        "exclude": "stripes",
        "filter": {"split": ["unseen", "train"], "source": ["a=b"]},
        "group": True,
    }


def test_the_key_comes_from_the_environment_alone(fake: Fake) -> None:
    run("search", "red star", "--url", fake.url, **{KEY: "secret"})
    assert fake.asked[0][1]["authorization"] == "Bearer secret"
    assert run("search", "red star", "--key", "secret", "--url", fake.url).returncode == 2


def test_the_service_is_asked_where_make_serve_has_it(fake: Fake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
    for verb in ("search", "similar"):
        told = run(verb, "red star", **{PORT: port}).stderr
        assert told.startswith(f"error: nothing answers at http://127.0.0.1:{port} ")
    wrong = run("search", "red star", **{PORT: "none"}).stderr
    assert wrong.startswith("error: 'http://127.0.0.1:none' is no address")
    assert run("search", "red star", "--url", fake.url, **{PORT: port}).returncode == 0


def test_what_a_person_should_know_is_said_beside_the_pictures(fake: Fake) -> None:
    fake.changes = {
        "degraded": "slow",
        "relevant": False,
        "confidence": 0.1,
        "unknown_words": ["moon"],
        "truncated": True,
        "suggestion": "red ring",
        "excluded": "dots",
    }
    done = run("search", "red star", "--url", fake.url)
    assert done.stdout.count("\n") == 1
    assert done.stderr.splitlines() == [
        "ranked by text alone: drawing took too long",
        "nothing in the gallery seems to fit (confidence 0.10)",
        "words that the text encoder does not know: moon",
        "did you mean “red ring”?",
        "pictures of “dots” are moved down, because the words exclude it",
        "the text is too long for the text encoder: its end was not read",
    ]


def test_pictures_that_are_missing_are_told(fake: Fake) -> None:
    fake.changes = {"missing": {"count": 2, "why": "saturated"}}
    done = run("search", "red star", "--url", fake.url)
    told = "2 imagined pictures are missing: too many texts wait to be drawn"
    assert done.stderr.splitlines() == [told]


def test_similar_takes_an_id_or_a_file(fake: Fake, tmp_path: Path) -> None:
    done = run("similar", HIT["id"], "--k", "3", "--filter", "split=unseen", "--url", fake.url)
    assert done.stdout == f"1\t0.5000\tred star\t{HIT['id']}\n"
    assert asked(fake)["id"] == HIT["id"] and asked(fake)["filter"] == {"split": ["unseen"]}
    (tmp_path / "mine.png").write_bytes(PICTURE)
    more = ["--filter", "split=unseen", "--group", "--json", "--url", fake.url]
    done = run("similar", str(tmp_path / "mine.png"), *more)
    assert json.loads(done.stdout)["total"] == 12
    assert fake.asked[-1][2] == {
        "image": PICTURE,
        "k": "5",
        "offset": "0",
        "filter": '{"split": ["unseen"]}',
        "group": "true",
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--filter", "unseen"], "--filter 'unseen': write column=value, such as split=unseen"),
        (["--k", "0"], "k: Input should be greater than or equal to 1"),
        (["--mode", "magic"], "mode: Input should be 'auto', 'text', 'image' or 'fused'"),
    ],
)
def test_a_wrong_option_is_one_sentence(fake: Fake, arguments: list[str], why: str) -> None:
    done = run("search", "red star", *arguments, "--url", fake.url)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_CODE, "", f"error: {why}\n")


def test_a_failure_says_whether_to_try_again(fake: Fake) -> None:
    fake.fails = JSONResponse({"error": "the service is full"}, 503, {"Retry-After": "5"})
    done = run("search", "red star", "--url", fake.url)
    assert done.returncode == TRY_AGAIN
    assert done.stderr == "error: the service is full (try again in 5 seconds)\n"
    fake.fails, fake.stream = None, [event("text", answer("red star")), event("done", {})]
    done = run("search", "red star", "--url", fake.url)
    assert (done.returncode, done.stderr) == (
        TRY_AGAIN,
        "error: the service gave no answer: try again\n",
    )


def test_a_terminal_with_colours_gets_thumbnails(fake: Fake) -> None:
    shown = on_terminal(
        "search", "red [star]", "--url", fake.url, TERM="xterm-256color", COLORTERM="truecolor"
    )
    assert shown.count(HALF) == 2 * 10 * 5  # columns and lines of two pictures
    assert "Traceback" not in shown
    for text in ("red [star]", "pictures imagined: 1", "λ = 0.65", "red star", "0.75"):
        assert text in shown
    assert HIT["id"] in shown and "(2" in shown and "near-duplicates)" in shown
    paths = [path for path, *_ in fake.asked]
    assert paths == ["search/stream", "images/gallery/red_star/0001.png", IMAGINED["picture"]]


def test_a_terminal_without_a_size_gets_a_table(fake: Fake) -> None:
    size, colours = (0, 0), {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    shown = on_terminal("search", "red star", "--url", fake.url, size=size, **colours)
    assert "▀" not in shown and "hubness" in shown


@pytest.mark.parametrize(
    "variables",
    [
        {"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"TERM": "vt100"},
    ],
    ids=["NO_COLOR", "dumb", "few colours"],
)
def test_a_terminal_without_colours_gets_a_table(fake: Fake, variables: dict[str, str]) -> None:
    shown = on_terminal("search", "red star", "--url", fake.url, **variables)
    assert "▀" not in shown and "hubness" in shown and "0.75" in shown
    assert [path for path, *_ in fake.asked] == ["search/stream"]


def test_a_terminal_shows_how_far_it_is(fake: Fake) -> None:
    shown = on_terminal("search", "red star", "--url", fake.url, TERM="xterm-256color")
    assert "pictures imagined: 1" in shown


def test_a_thumbnail_that_cannot_be_had_is_left_out(fake: Fake) -> None:
    fake.changes = {"hits": [HIT | {"picture": "bundle"}], "imagined": []}
    shown = on_terminal(
        "search", "red star", "--url", fake.url, TERM="xterm-256color", COLORTERM="truecolor"
    )
    assert "▀" not in shown and "0.75" in shown
