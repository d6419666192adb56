"""Command lines in the documents: taken apart as a shell would, and held against their parsers."""

from __future__ import annotations

import contextlib
import re
import shlex
from functools import cache
from typing import Any

import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from typer.exceptions import TyperException

from docs.commands import PROGRAMS
from tests.toy import ROOT

MODULES = {"docs", "pytest", "tests.browser"}
OURS = ("eidolon", "make", "dvc", "python", ".venv/bin/python", ".venv/bin/eidolon")
FOREIGN = {"cd", "cp", "curl", "docker", "eval", "git", "mkdir", "rm", "tar", "unzip"}
_OPERATORS = {"|", "||", "&&", ";", "&"}
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_.]*|.*[…<].*")


def lines(text: str) -> list[str]:
    """The logical lines of a shell script. A backslash or an open quotation continues a line."""
    found, held = [], ""
    for line in text.splitlines():
        held += line
        if held.endswith("\\"):
            held = held[:-1]
            continue
        try:
            shlex.split(held, comments=True)
        except ValueError:
            held += "\n"
            continue
        if held.strip():
            found.append(held)
        held = ""
    assert not held, f"a quotation has no end: {held}"
    return found


def commands(line: str) -> list[list[str]]:
    """The commands of a logical line and of its ``$(…)``, without assignments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if word in _OPERATORS:
            found.append([])
        elif word.startswith((">", "<")):
            skip = True
        elif skip or (not found[-1] and re.match(r"\w+=", word)):
            skip = False
        else:
            found[-1].append(word)
    inner = [c for word in found for text in _substituted(word) for c in commands(text)]
    return [words for words in found if words] + inner


def wrong_with(words: list[str], *, whole: bool) -> str | None:
    """What is wrong with a command, or nothing. A ``whole`` command has all that it needs; another
    one only mentions verbs and options, such as `eidolon promote` or `eidolon STAGE`."""
    first, rest = words[0], words[1:]
    if first == "make":
        targets = [word for word in rest if "=" not in word]
        return next((f"no target {t!r}" for t in targets if t not in make_targets()), None)
    if first == "dvc":
        return _wrong_with_dvc(rest, whole)
    if first.endswith("eidolon"):
        return _wrong_with_ours("eidolon", rest, whole)
    if first.endswith("python"):
        if rest[:1] != ["-m"]:
            return None
        return _wrong_with_ours(f"python -m {rest[1]}", rest[2:], whole)
    return (
        None if first in FOREIGN else f"unknown program {first!r}: add it to tests/commandlines.py"
    )


@cache
def make_targets() -> frozenset[str]:
    """The targets that `make` lists."""
    return frozenset(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))


@cache
def stages() -> frozenset[str]:
    """The stages of dvc.yaml."""
    return frozenset(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


@cache
def _command(called: str) -> Any:
    program = next((program for program in PROGRAMS if program.called == called), None)
    return program and program.command()


def _wrong_with_ours(called: str, words: list[str], whole: bool) -> str | None:
    command, left = _command(called), list(words)
    if command is None:
        return None if called.removeprefix("python -m ") in MODULES else f"no command {called!r}"
    while left and hasattr(command, "commands") and not left[0].startswith("-"):
        verb = left.pop(0)
        if _PLACEHOLDER.fullmatch(verb):
            return None
        if verb not in command.commands:
            return f"{called} has no verb {verb!r}"
        called, command = f"{called} {verb}", command.commands[verb]
    options = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)} | {"--help"}
    strange = [word for word in left if word.startswith("--") and word.split("=")[0] not in options]
    if strange:
        return f"{called} has no option {strange[0]!r}"
    if not whole or "--help" in left or hasattr(command, "commands"):
        return None
    try:
        command.make_context(called, left)
    except TyperException as error:
        return f"{called}: {error}"
    return None


def _wrong_with_dvc(words: list[str], whole: bool) -> str | None:
    parser = get_main_parser()
    try:
        if not whole:
            with contextlib.suppress(SystemExit):  # the help text has been printed
                parser.parse_args([words[0], "--help"])
        parsed = parser.parse_args(words) if whole else None
    except DvcParserError:
        return f"dvc does not understand {' '.join(words)!r}"
    targets = parsed.targets if parsed is not None and words[0] == "repro" else []
    return next((f"no stage {t!r}" for t in targets if t.split("@")[0] not in stages()), None)


def _substituted(words: list[str]) -> list[str]:
    return [text for word in words for text in re.findall(r"\$\((.*)\)", word, re.S)]
