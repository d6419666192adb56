"""Verbs that ask the search service: by a text, and by a picture."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from components.api.client import Client, Options
from components.api.messages import Answer, Event, Hit, Imagined
from components.errors import EidolonError, TransientError
from components.progress import note

PANEL = "Search"
KEY = "EIDOLON_API_KEY"  # a variable, because others can see the arguments of a process
PORT = "EIDOLON_PORT"  # of `make serve`
verbs = typer.Typer()

_WIDTH = 10  # columns of a thumbnail
_WHY = {
    "saturated": "too many texts wait to be drawn",
    "slow": "drawing took too long",
    "unavailable": "the imaginer is down",
    "failed": "the generator failed",
    "unfit": "no imagined picture was fit to use",
    "disagreeing": "the imagined pictures show the text too poorly",
}

Count = Annotated[int, typer.Option("--k", help="how many pictures to return")]
Offset = Annotated[int, typer.Option(help="how many of the best pictures to pass over")]
Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", help="column=value: only such pictures; give it for each value"),
]
Group = Annotated[bool, typer.Option("--group", help="show near-duplicates as one picture")]
AsJson = Annotated[bool, typer.Option("--json", help="print the answer as JSON")]
Address = Annotated[
    str | None,
    typer.Option(
        help="where the service is; on this machine at EIDOLON_PORT, or 3000, if not given"
    ),
]


@verbs.command(rich_help_panel=PANEL)
def search(
    query: Annotated[str, typer.Argument(help='what to look for, such as "red striped star"')],
    k: Count = 5,
    offset: Offset = 0,
    mode: Annotated[
        str, typer.Option(help="rank by text, image or both: auto, text, image, fused")
    ] = "auto",
    weight: Annotated[
        float | None, typer.Option(help="λ, the imagined pictures' share, from 0 to 1")
    ] = None,
    images: Annotated[int | None, typer.Option(help="how many pictures to imagine")] = None,
    seed: Annotated[int | None, typer.Option(help="imagine other pictures")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="the id of an imagined picture not to use")
    ] = None,
    kind: Annotated[
        str,
        typer.Option(help="class, description or both: how a category of the bundle is asked for"),
    ] = "class",
    description: Annotated[
        str | None, typer.Option(help="what is meant, in other words: searched for with the text")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(help="a text: what the pictures must not show")
    ] = None,
    filters: Filters = None,
    group: Group = False,
    as_json: AsJson = False,
    url: Address = None,
) -> None:
    """Search the served gallery by a text. An API key is taken from EIDOLON_API_KEY."""
    options: Any = {
        "k": k,
        "offset": offset,
        "mode": mode,
        "weight": weight,
        "images": images,
        "seed": seed,
        "drop": drop or [],
        "kind": kind,
        "description": description,
        "exclude": exclude,
        "filter": _filter(filters),
        "group": group,
    }
    with _client(url) as client:
        answer = _followed(client, query, options)
        if as_json:
            print(answer.model_dump_json(indent=2, by_alias=True))
            return
        how = "known category" if answer.known else f"pictures imagined: {_used(answer.imagined)}"
        title = f"{query}  ({how}, λ = {answer.fusion_weight:.2f})"
        _show(client, title, answer.hits, answer.imagined)
        for line in _notes(answer):
            note(line)


@verbs.command(rich_help_panel=PANEL)
def similar(
    picture: Annotated[str, typer.Argument(help="the file of a picture, or the id of a hit")],
    k: Count = 5,
    offset: Offset = 0,
    filters: Filters = None,
    group: Group = False,
    as_json: AsJson = False,
    url: Address = None,
) -> None:
    """Search the served gallery by a picture. An API key is taken from EIDOLON_API_KEY."""
    file = Path(picture) if Path(picture).is_file() else None
    with _client(url) as client:
        answer = client.similar(
            None if file else picture,
            picture=file,
            k=k,
            offset=offset,
            filter=_filter(filters),
            group=group,
        )
        if as_json:
            print(answer.model_dump_json(indent=2))
            return
        _show(client, f"similar to {picture}", answer.hits)


def _client(url: str | None) -> Client:
    """A client of the service at ``url``, or else where `make serve` serves."""
    here = f"http://127.0.0.1:{os.environ.get(PORT, 3000)}"
    return Client(url or here, os.environ.get(KEY))


def _filter(given: Sequence[str] | None) -> dict[str, str | list[str]]:
    """Values by column. Raises :class:`EidolonError` for one without a column."""
    found: dict[str, str | list[str]] = {}
    for text in given or ():
        column, equals, value = text.partition("=")
        if not (column and equals and value):
            raise EidolonError(f"--filter {text!r}: write column=value, such as split=unseen")
        held = found.setdefault(column, [])
        assert isinstance(held, list)
        held.append(value)
    return found


def _followed(client: Client, query: str, options: Options) -> Answer:
    """The final answer. A terminal shows how far it is."""
    console = Console(stderr=True)
    arrived = 0
    with console.status("searching") if console.is_terminal else nullcontext() as status:
        for event in client.stream(query, **options):
            if event.event == "fused":
                return Answer.model_validate(event.data)
            arrived += event.event == "imagined"
            if status is not None:
                status.update(Text(_progress(event, arrived)))
    raise TransientError("the service gave no answer: try again")


def _progress(event: Event, arrived: int) -> str:
    if event.event == "text":
        return f"{len(event.data['hits'])} pictures found by text alone, imagining"
    return f"pictures imagined: {arrived}"


def _used(imagined: Sequence[Imagined]) -> int:
    return sum(picture.kept for picture in imagined)


def _notes(answer: Answer) -> Iterator[str]:
    """What a person should know beside the pictures."""
    if answer.degraded:
        yield f"ranked by text alone: {_WHY[answer.degraded]}"
    elif answer.missing:
        yield f"{answer.missing.count} imagined pictures are missing: {_WHY[answer.missing.why]}"
    if not answer.relevant:
        yield f"nothing in the gallery seems to fit (confidence {answer.confidence:.2f})"
    if answer.unknown_words:
        yield f"words that the text encoder does not know: {', '.join(answer.unknown_words)}"
    if answer.suggestion:
        yield f"did you mean “{answer.suggestion}”?"
    if answer.excluded:
        yield f"pictures of “{answer.excluded}” are moved down, because the words exclude it"
    if answer.truncated:
        yield "the text is too long for the text encoder: its end was not read"


def _show(
    client: Client, title: str, hits: Sequence[Hit], imagined: Sequence[Imagined] = ()
) -> None:
    """A table on a terminal, with thumbnails where it can; otherwise lines with tabs."""
    console = Console()
    if not console.is_terminal:
        for hit in hits:
            print(hit.rank, f"{hit.score:.4f}", hit.category, hit.id, sep="\t")
        return
    thumbnail = _thumbnails(client, console)
    # as text: rich takes [brackets] in a plain string for its markup
    table = Table(title=Text(title, style="table.title"), box=SIMPLE_HEAD)
    for column in ("", "category", "score", "text", "image", "hubness"):
        table.add_column(column)
    table.add_column("picture", overflow="fold")
    for hit in hits:
        parts = (hit.score, hit.text_score, hit.image_score, hit.hubness)
        name = hit.source or hit.id
        more = f" ({hit.count} near-duplicates)" if hit.count > 1 else ""
        table.add_row(
            thumbnail(hit.picture) if thumbnail else str(hit.rank),
            Text(hit.category),
            *(f"{part:.2f}" for part in parts),
            Text(f"{name}{more}"),
        )
    if thumbnail and imagined:
        console.print("imagined:", Columns([thumbnail(p.picture) for p in imagined if p.kept]))
    console.print(table)


def _thumbnails(client: Client, console: Console) -> Callable[[str], RenderableType] | None:
    """Makes the picture at an address fit for this terminal; None where it shows no pictures.

    Loading the library asks the terminal which protocol it has (Kitty's, Sixel, or coloured half
    blocks). So both ends must be a terminal, and one that knows its size.
    """
    colours = console.color_system in ("truecolor", "256") and not console.no_color
    if not (colours and sys.stdin.isatty() and os.get_terminal_size().columns):
        return None
    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it warns of an unknown cell size
    from textual_image.renderable import Image as Shown

    def thumbnail(address: str) -> RenderableType:
        try:
            picture = Image.open(io.BytesIO(client.picture(address))).convert("RGB")
        except (EidolonError, TransientError, OSError):
            return ""  # the row says enough without it
        return Shown(picture, width=_WIDTH, height="auto")

    return thumbnail
