"""Releases from the command line: `python -m bento.release VERB`.

The DAGs build, check and deploy only through this. The last line on stdout is one JSON object;
messages to people go to stderr. Exit status 1 means that a check failed, 2 that the input was bad,
75 that another attempt may succeed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from bento import homes
from components import config
from components.errors import one_sentence
from components.files import read_json, write_json

app = typer.Typer(
    help="Build, check, deploy and serve Bentos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Tag = Annotated[str, typer.Option(help="an exact tag, as `build` printed it")]
BundleFolder = Annotated[Path, typer.Option("--bundle", help="the bundle's folder")]
Version = Annotated[int, typer.Option(min=1, help="the registry's version of the bundle")]


@app.callback()
def settle() -> None:
    """The pointer lies in $EIDOLON_HOME (.eidolon), Bentos in $BENTOML_HOME (in it: bentoml)."""
    homes.settle()


@app.command()
def build(bundle: BundleFolder, version: Version) -> None:
    """Import a bundle and its models, and build their Bento with the section `serve` of
    params.yaml. Equal content is built once. What an index server lacks is uploaded."""
    with redirect_stdout(sys.stderr):
        from bento.store import build as make
        from components.index.engines import publish

        bento, built, pins = make(bundle, version, config.load().serve)
        if uploaded := publish(bundle):
            print(f"{uploaded:,} pictures uploaded to the index server", file=sys.stderr)
    print(f"{bento.tag} {'built' if built else 'was there already'}", file=sys.stderr)
    _answer({"tag": str(bento.tag), "built": built, "models": pins.models})


@app.command()
def check(
    tag: Tag,
    queries: Annotated[int, typer.Option(min=1, max=10_000, help="known categories to ask")] = 8,
    timeout: Annotated[float, typer.Option(min=1, help="seconds to become ready")] = 300,
) -> None:
    """Serve a Bento on a free port and compare its answers with those of its bundle."""
    with redirect_stdout(sys.stderr):
        from bento.golden import check as ask
        from bento.live import CheckError
        from bento.server import NotServedError

        try:
            report = ask(tag, queries, timeout)
        except (CheckError, NotServedError) as error:
            print(f"{tag} failed its check: {error}", file=sys.stderr)
            sys.exit(1)
        write_json(homes.checked(tag), report)
    _answer(report)


@app.command()
def verify(
    tag: Tag, version: Version, url: Annotated[str, typer.Option(help="where a server answers")]
) -> None:
    """Ask a server that is ready whether it serves this Bento, and one known category."""
    with redirect_stdout(sys.stderr):
        from bento.golden import verified
        from bento.live import CheckError

        try:
            digest = verified(tag, version, url)
        except CheckError as error:
            print(f"{url} does not serve {tag}: {error}", file=sys.stderr)
            sys.exit(1)
    _answer({"tag": tag, "digest": digest})


@app.command()
def deploy(tag: Tag, version: Version) -> None:
    """Point to a Bento. `serve` serves it when it is started next."""
    from bento import pointer

    with redirect_stdout(sys.stderr):
        from bento.store import find

        find(tag)
    _answer(pointer.deploy(tag, version))


@app.command()
def folders(tag: Tag) -> None:
    """Print where the bundle and the models of a Bento lie."""
    with redirect_stdout(sys.stderr):
        import bentoml

        from bento.store import find, pins_of

        models = pins_of(find(tag)).models
        found = {name: str(bentoml.models.get(model).path) for name, model in models.items()}
    _answer(found)


@app.command()
def models(bundle: BundleFolder) -> None:
    """Print where the store has the models that a bundle was made with."""
    with redirect_stdout(sys.stderr):
        from bento.store import kept

        found = {part: str(place) for part, place in kept(bundle).items()}
    _answer(found)


@app.command()
def prune(
    tag: Annotated[list[str] | None, typer.Option(help="a Bento to keep")] = None,
    version: Annotated[
        list[int] | None, typer.Option(help="a version whose newest Bento is kept")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="remove them, not only list them")] = False,
) -> None:
    """List the Bentos, and their bundles and models, that none of these needs; or remove them."""
    with redirect_stdout(sys.stderr):
        from bento.unused import remove, unused

        found = unused(set(tag or ()), set(version or ()))
        if yes:
            remove(found)
    _answer(found.as_dict())


@app.command()
def current() -> None:
    """Print what is deployed."""
    from bento import pointer

    _answer(pointer.current())


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="the port to listen on")] = 3000,
    place: Annotated[
        Path | None,
        typer.Option(help="a place of `make up`: FOLDER.json names the Bento and the port"),
    ] = None,
) -> None:
    """Serve what is deployed, in the foreground."""
    from bento import pointer, server
    from bento.keys import keys_in
    from bento.store import find

    if place is None:
        tag, empty = str(pointer.current()["bento"]), homes.eidolon_home() / "serving"
    else:
        held = read_json(place.with_suffix(".json"), "`eidolon deploy` fills a place")
        tag, port, empty = held["bento"], held["port"], place / "empty"
    find(tag)
    server.check_port(host, port)
    keys_in(server.environment())  # a malformed value is told here, not by workers that crash
    if place is not None:
        os.environ["BENTOML_HOME"] = str(server.home_apart(place))
        if held["apart"]:
            os.environ["EIDOLON_HOME"] = str(place)
    empty.mkdir(parents=True, exist_ok=True)
    print(f"serving {tag} on http://{host}:{port}", file=sys.stderr, flush=True)
    os.chdir(empty)
    command = server.command(tag, host, port)
    os.execve(command[0], command, server.environment())


def _answer(value: dict[str, Any]) -> None:
    print(json.dumps(value))


def main() -> None:
    """Run the command line. Each error is one sentence on stderr: with exit status 2 for bad input,
    with 75 when another attempt may succeed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a server of `check` ends too
    with one_sentence():
        app()


if __name__ == "__main__":
    main()
