"""What one worker of the API holds: the bundle, and everything that answers from it."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bento.homes import eidolon_home
from bento.imagination import Imagination, Remote
from bento.journal import Journal
from bento.metrics import metrics
from bento.parts import parts
from bento.search import Search, Served
from components import config
from components.api.messages import BundleName
from components.files import sha256
from components.imagining.memory import Memory
from components.serving.loading import Bundle, load
from components.serving.retriever import Retriever

log = logging.getLogger("bentoml.eidolon")
_READERS = 8  # pictures that are read from a store at once


class Beside:
    """Runs blocking work beside the event loop: one piece at a time, so that each has a core, or as
    many as it has threads where they wait for others."""

    def __init__(self, name: str, threads: int = 1) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def __call__(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` returns for the ``arguments``, or the exception that it raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments))


@dataclass(frozen=True)
class Worker:
    """The parts that answer requests.

    ``encoding`` runs what takes long: encoding texts and decoding uploads. ``reading`` reads the
    bundle's pictures, whose store may be slow or away. ``beside`` runs all else, so that known
    queries do not wait for that.
    """

    served: Served
    bundle: Bundle
    retriever: Retriever
    imagination: Imagination
    memory: Memory
    search: Search
    journal: Journal
    beside: Beside
    encoding: Beside
    reading: Beside


def worker(remote: Remote) -> Worker:
    """Load the bundle of this Bento. ``remote`` is its Imaginer.

    Raises :class:`EidolonError` when the bundle or a model is missing or damaged.
    """
    torch.set_num_threads(1)  # many small products: more threads only wait for each other
    found = parts()
    serve = found.pins.serve
    bundle = load(found.bundle)
    models = bundle.info["models"]
    digest = sha256(bundle.folder / "bundle.json")[:12]
    served = Served(BundleName(version=found.pins.version, digest=digest), models)
    retriever = Retriever(bundle, found.encoders)
    beside, encoding = Beside("rank"), Beside("encode")
    memory = Memory(
        eidolon_home() / "texts.sqlite",
        f"{models['vision']} {models['clip']}",
        serve.remembered_bytes,
    )
    imagination = Imagination(remote, memory, found.generator, models, serve, beside, metrics())
    validate = config.Validate.model_validate(bundle.info["validate"])
    journal = Journal(eidolon_home() / "journal", serve.journal_days)
    search = Search(
        retriever, imagination, found.generator, validate, served, journal, serve, beside, encoding
    )
    metrics().serves(served.bundle)
    gc.freeze()  # what was loaded stays: collecting it again and again held answers up for 0.3 s
    log.info("bundle %s, code %s, library %s", served.bundle, __file__, config.__file__)
    parallel = beside, encoding, Beside("read", threads=_READERS)
    return Worker(served, bundle, retriever, imagination, memory, search, journal, *parallel)
