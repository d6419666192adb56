"""Links between the documents lead somewhere, and every document can be reached."""

from __future__ import annotations

import os
from pathlib import Path

from tests import documents
from tests.toy import ROOT


def inside(link: str) -> bool:
    return not link.startswith(("http://", "https://", "mailto:"))


def target(document: str, link: str) -> tuple[str, str]:
    """The path from the root that a link leads to, and its anchor."""
    place, _, anchor = link.partition("#")
    path = os.path.normpath(Path(document).parent / place) if place else document
    return path, anchor


def test_links_and_anchors_resolve() -> None:
    wrong = []
    for document in documents.every():
        for link in filter(inside, document.links):
            path, anchor = target(document.name, link)
            if not (ROOT / path).exists():
                wrong.append(f"{document.name}: {link} leads to no file")
            elif anchor and anchor not in documents.read(path).anchors:
                wrong.append(f"{document.name}: {path} has no heading for #{anchor}")
    assert not wrong, "\n".join(wrong)


def test_every_document_and_picture_is_linked() -> None:
    linked = {
        target(document.name, link)[0]
        for document in documents.every()
        for link in filter(inside, document.links)
    }
    here = {p.relative_to(ROOT).as_posix() for p in (ROOT / "docs").rglob("*.[mp][dn]*")}
    missing = sorted(name for name in here if name not in linked)
    assert not missing, f"link these from README.md or another document: {missing}"
