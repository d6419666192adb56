"""`python -m ops VERB`, which the Makefile calls."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from components import config
from components.errors import one_sentence
from components.variables import of_endpoint
from ops.environment import ROOT, added, environment

app = typer.Typer(
    help="Operating Eidolon: run, up, down.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run() -> None:
    """Run the DAG `retrain` once, and show its result."""
    from ops import run as module

    os.environ.update(added())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as for Ctrl-C
    try:
        module.run(Console())
    except module.RunError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; run the same command to carry on", file=sys.stderr)
        sys.exit(130)


@app.command()
def up() -> None:
    """Start Airflow, MLflow and the endpoint, and wait until they are ready."""
    from ops import up as module
    from ops.run import RunError

    os.environ.update(added())
    try:
        module.up(Console())
    except (module.UpError, RunError) as error:
        print(f"error: {error}; `make down` stops what has started", file=sys.stderr)
        sys.exit(1)


@app.command()
def cluster() -> None:
    """Start several machines on this one: a head, PostgreSQL, S3 and two workers."""
    from ops.cluster import rehearsal
    from ops.run import RunError
    from ops.up import UpError

    os.environ.update(added())
    try:
        rehearsal.start(Console())
    except (UpError, RunError) as error:
        print(f"error: {error}; `make down` stops what has started", file=sys.stderr)
        sys.exit(1)


@app.command()
def worker() -> NoReturn:
    """Become a worker of the head that the variable EIDOLON_HEAD names."""
    from ops.cluster.workers import work

    work()


@app.command()
def down() -> None:
    """Stop everything that `up` or `cluster` started."""
    from ops.down import down as stop

    with Console().status("stopping"):
        count = stop()
    print(f"stopped {count} processes" if count else "nothing was running")


@app.command()
def status() -> None:
    """Show the services, and what is deployed."""
    from ops.canary import describe as trial
    from ops.release import deployed
    from ops.services import Supervisor
    from ops.swap import describe
    from ops.up import addresses

    os.environ.update(added())
    states, live = Supervisor().states(), deployed()
    for name, state in (states or {}).items():
        print(f"{name:<22} {state.lower()}")
    if states is None:
        print("nothing is running")
    else:
        print("\n".join([*addresses(environment(), live is not None), *describe(), *trial()]))
    print(f"deployed: {live['bento']}, version {live['version']}" if live else "deployed: nothing")


@app.command()
def deploy(
    version: Annotated[
        str | None,
        typer.Option(help="if this version is still loaded, serve it without asking the registry"),
    ] = None,
) -> None:
    """Deploy the version with the alias `champion`: after `eidolon promote`, or to repair."""
    from ops import canary, swap
    from ops.cluster.workers import refuse_on_worker

    refuse_on_worker("deploy")
    os.environ.update(added())
    if version is None or not swap.go_back(version):
        from ops.release import ReleaseError
        from ops.rollout import follow_champion

        try:
            version = follow_champion(lambda line: print(line, flush=True))["version"]
        except ReleaseError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
    print(f"version {version} is deployed", flush=True)
    canary.keep(print)  # going back ends a trial, too


@app.command()
def monitor() -> None:
    """Look at what was asked and tell about alarms, as the DAG `monitor` does."""
    from ops import monitoring
    from ops.steps import NothingToDo

    os.environ.update(added())
    try:
        found = monitoring.observe(print)
    except NothingToDo as reason:
        print(reason)
        return
    monitoring.notify(found, print)
    if found["retrain"]:
        print("an alarm asks for a retraining: `make run` does that")


@app.command()
def canary(
    version: Annotated[int | None, typer.Argument(help="the version to put on trial")] = None,
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="of searches or callers")] = 0.1,
    answer: Annotated[
        bool,
        typer.Option("--answer/--shadow", help="the challenger answers, or is only asked too"),
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="end the trial")] = False,
) -> None:
    """Put a version on trial beside the live one, or end the trial."""
    from ops import canary as module
    from ops import release, rollout

    os.environ.update(added())
    if stop:
        module.stop(print)
        module.keep(print)
    elif version is None:
        print("\n".join(module.describe()) or "nothing is on trial")
    else:
        tag = rollout.build(str(version), print)["tag"]
        if not release.was_checked(tag):
            release.check(tag, config.load().serve.golden_queries, print)
        module.start(tag, str(version), share, "answer" if answer else "shadow", print)


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="the last versions to keep, at least")] = 3,
    days: Annotated[
        float, typer.Option(min=0, help="days that imagined pictures are kept unused")
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="free it, not only show it")] = False,
) -> None:
    """Show or free the disk space that no kept version needs: `eidolon prune`."""
    from ops import pruning

    os.environ.update(added())
    pruning.prune(keep, days, Console(), yes=yes)


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(help="ids of hits, hashes, or paths")],
    reason: Annotated[str, typer.Option(help="why")] = "",
    version: Annotated[str | None, typer.Option(help="the version of these ids")] = None,
    purge: Annotated[bool, typer.Option("--purge", help="their copies too")] = False,
) -> None:
    """Remove pictures for good: `eidolon remove`."""
    from ops import removing

    os.environ.update(added())
    left = removing.remove(ids, reason, version, print, purge=purge)
    print("\n".join(["they still are in:", *left]) if left else "they are nowhere here any more")


@app.command()
def env() -> None:
    """Print the environment as commands of a shell: `eval "$(python -m ops env)"`."""
    for name, value in sorted(added().items()):
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def serve() -> NoReturn:
    """Serve what is deployed, in the foreground."""
    from ops.environment import ports

    port = ports(os.environ).endpoint
    command = [sys.executable, "-m", "bento.release", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    os.execve(sys.executable, command, of_endpoint(environment()))


def main() -> None:
    """Run the command line. Each error is one sentence on stderr: with exit status 2 for bad input,
    with 75 when another attempt may succeed."""
    os.chdir(ROOT)
    with one_sentence():
        app()


if __name__ == "__main__":
    main()
