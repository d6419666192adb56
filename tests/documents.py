"""The documents as the tests read them: code blocks, code spans, tables, links and headings."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.toy import ROOT

EXCLUDED = re.compile(r"<!-- not checked: (.+?) -->")
"""Before a code block: the tests leave the block out, for the reason that the comment gives."""


@dataclass(frozen=True)
class Block:
    """A fenced code block. ``excluded`` is the reason why it is not checked, or nothing."""

    document: str
    line: int
    language: str
    text: str
    excluded: str | None

    @property
    def place(self) -> str:
        """Where a person finds the block."""
        return f"{self.document}:{self.line}"


@dataclass
class Document:
    """One Markdown file, by its path from the root of the repository."""

    name: str
    blocks: list[Block] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    """Rows of Markdown cells, header first: all tables below each heading, joined."""
    prose: str = ""
    """All text outside code blocks, with its code spans."""


def names() -> list[str]:
    """The documents of the repository."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [path.relative_to(ROOT).as_posix() for path in found]


@cache
def read(name: str) -> Document:
    """Parse one document."""
    document, heading, excluded = Document(name), "", None
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / name).read_text())
    prose, before = [], ""
    for token in tokens:
        if before == "heading_open":
            heading = token.content
            document.anchors.add(_anchor(token, document.anchors))
        if token.type == "html_block":
            marker = EXCLUDED.search(token.content)
            excluded = marker[1] if marker else None
        elif token.type in ("fence", "code_block"):
            line = token.map[0] + 1 if token.map else 0
            block = Block(name, line, token.info.strip(), token.content, excluded)
            document.blocks.append(block)
            excluded = None
        elif token.type == "tr_open":
            document.tables.setdefault(heading, []).append([])
        elif token.type == "inline":
            _inline(token, document)
            prose.append(token.content)
            if before in ("th_open", "td_open"):
                document.tables[heading][-1].append(token.content)
        before = token.type
    document.prose = "\n".join(prose)
    return document


def every() -> list[Document]:
    """All documents."""
    return [read(name) for name in names()]


def section(name: str, heading: str) -> list[list[str]]:
    """The rows of the tables below a heading, without the headers' rule."""
    rows = read(name).tables.get(heading)
    assert rows, f"{name} has no table below the heading “{heading}”"
    return rows


def codes(cell: str) -> list[str]:
    """The code spans of a table's cell."""
    return re.findall(r"`([^`]+)`", cell)


@cache
def tracked() -> frozenset[str]:
    """The files of the repository, and all folders that they lie in."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = [Path(name) for name in listed if name and (ROOT / name).exists()]
    return frozenset(p.as_posix() for file in files for p in (file, *file.parents))


def _inline(token: Token, document: Document) -> None:
    for child in token.children or []:
        if child.type == "code_inline":
            document.spans.append(child.content)
        elif child.type in ("link_open", "image"):
            document.links.append(str(child.attrs.get("href") or child.attrs.get("src")))


def _anchor(heading: Token, taken: set[str]) -> str:
    """A heading's anchor as GitHub makes it: lower case, without punctuation, hyphens for spaces; a
    number where the document has the same already."""
    text = "".join(
        child.content for child in heading.children or [] if child.type in ("text", "code_inline")
    )
    name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
    count = 0
    while (anchor := f"{name}-{count}" if count else name) in taken:
        count += 1
    return anchor
