"""Faults that are put into a Bento's own copy of the code, and the processes of a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from components.processes import family

PLANTED = """

# Planted for a test: faults of the generator and the encoder, by words of the prompts.

import random as _random
import time as _time
from dataclasses import replace as _replace

import numpy as _np

_drawn = Imaginer._drawn
_draw_all = Generator.draw_all


def _spoilt_pictures(self, prompts, seeds):
    pictures = _draw_all(self, prompts, seeds)
    for i, prompt in enumerate(prompts):
        first_two = prompts[:i].count(prompt) < 2
        if "pitch black" in prompt or ("partly black" in prompt and first_two):
            black = Image.new("RGB", pictures[i].image.size)
            pictures[i] = pictures[i]._replace(image=black)
    return pictures


def _spoilt(self, orders):
    texts = " ".join(order.prompt for order in orders)
    if "asleep" in texts:
        _time.sleep(ASLEEP)
    if "failing" in texts or _random.random() < SHARE:
        raise _random.choice([RuntimeError, KeyError, OSError])("a planted fault")
    found = _drawn(self, orders)
    for i, order in enumerate(orders):
        if "not a number" in order.prompt:
            nothing, endless = found[i].vision * _np.nan, found[i].clip * _np.inf
            found[i] = _replace(found[i], vision=nothing, clip=endless)
    return found


Generator.draw_all = _spoilt_pictures
Imaginer._drawn = _spoilt
"""
"""``ASLEEP`` and ``SHARE`` are set by :func:`plant`."""


def plant(source: Path, asleep: float, share: float) -> None:
    """Change the Imaginer in ``source``, the code inside a Bento.

    A prompt with "pitch black" then gives black pictures, and with "partly black" two of them. "Not
    a number" gives vectors that are none, "failing" an error, and "asleep" a delay of ``asleep``
    seconds. A batch fails at random with the probability ``share``.
    """
    with (source / "components" / "serving" / "imaginer.py").open("a") as code:
        code.write(f"\nASLEEP, SHARE = {asleep}, {share}\n{PLANTED}")


def server_at(port: int) -> list[psutil.Process]:
    """The processes of the Bento that this process serves at ``port``, the first of them first."""
    listening = {c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port}
    families = (family(child.pid) for child in psutil.Process().children())
    (found,) = (f for f in families if listening & {process.pid for process in f})
    return found


def imaginers(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that draw."""
    return [one for one in processes if kind_of(one) == "Imaginer"]


def kind_of(process: psutil.Process) -> str:
    """What a process of a Bento does; empty when it is gone."""
    try:
        words = " ".join(process.cmdline())
    except psutil.Error:
        return ""
    if "worker.service" not in words:
        return "BentoML" if words else ""
    return "Imaginer" if "eidolon-imaginer" in words else "API"


def resident(processes: Sequence[psutil.Process]) -> dict[str, float]:
    """MiB of resident memory, by what the processes do."""
    found: dict[str, float] = {}
    for process in processes:
        kind = kind_of(process)
        if kind:
            found[kind] = found.get(kind, 0.0) + process.memory_info().rss / 2**20
    return found
