"""One HTML page that shows the rejected pictures: each with a thumbnail and the reason.

The thumbnails are inside the page. So it can be read from anywhere: in its folder, in MLflow, or as
an attachment.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from components.images.thumbnails import inline

SHOWN = 500  # rows
_SIDE = 96  # pixels of a thumbnail
_STYLE = """
body { font: 13px/1.4 system-ui, sans-serif; margin: 2rem auto; padding: 0 2rem }
table { border-collapse: collapse; width: 100% } th { text-align: left }
td, th { border-bottom: 1px solid #8884; padding: .2rem .4rem; vertical-align: middle }
img { height: 64px; image-rendering: pixelated } .critical { color: #b3261e; font-weight: 600 }
"""


def render(
    title: str,
    sentences: Sequence[tuple[str, str]],
    rows: pd.DataFrame,
    files: Sequence[Path],
    docs: Path,
) -> str:
    """The page as HTML: the failures, links to the Data Docs, and a table of rejected pictures.

    ``sentences`` are the failures as (severity, text). ``files`` are the pictures of ``rows``. The
    table has the columns of ``rows``, with three decimals for numbers. ``docs`` is the folder of
    the Data Docs, which lies beside the page.
    """
    said = "".join(
        f"<li><span class={_text(severity)}>{_text(severity)}</span>: {_text(sentence)}</li>"
        for severity, sentence in sentences
    )
    heads = "".join(f"<th>{_text(column)}</th>" for column in ["picture", *rows.columns])
    body = "".join(
        f"<tr><td>{inline(file, _SIDE) or 'no picture'}</td>"
        f"{''.join(f'<td>{_text(v)}</td>' for v in row)}</tr>"
        for file, row in zip(files[:SHOWN], rows.head(SHOWN).itertuples(index=False), strict=True)
    )
    # a link to each result, because the index of the Data Docs needs scripts from the internet
    links = "".join(
        f' · <a href="{quote(result.relative_to(docs.parent).as_posix())}">'
        f"{_text(result.relative_to(docs / 'validations').parts[0])}</a>"
        for result in sorted(docs.glob("validations/**/*.html"))
    )
    left = len(rows) - SHOWN
    more = f"<p>{left} more rows are in measurements.csv.</p>" if left > 0 else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_STYLE}</style><h1>{_text(title)}</h1>"
        f'<p><a href="{docs.name}/index.html">Data Docs of Great Expectations</a>{links}</p>'
        f"<ul>{said or '<li>every expectation holds</li>'}</ul>"
        f"<h2>Rejected pictures: {len(rows)}</h2>"
        f"<table><tr>{heads}</tr>{body}</table>{more}</html>\n"
    )


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    return html.escape(str(value))
