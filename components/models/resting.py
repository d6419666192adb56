"""Gives an accelerator's memory back while nobody uses the models in it.

The models wait in the machine's own memory, from where they are back within seconds: reading them
from files again would take several times as long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol

from components.models.checkpoints import device

log = logging.getLogger("bentoml.eidolon")


class Movable(Protocol):
    """A model, or several that belong together, that can change its device."""

    def to(self, place: Any) -> Any:
        """Move it."""
        ...


class Resting:
    """Models that leave the accelerator after ``idle`` seconds without use; None: never.

    ``clock`` gives the seconds.
    """

    def __init__(
        self,
        models: Sequence[Movable],
        idle: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._idle, self._clock = models, idle, clock
        self._lock = Lock()
        self._users, self._away, self._since = 0, False, clock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """The models are on the accelerator, and stay there, while this block lasts."""
        with self._lock:
            if self._away:
                self._move(device())
                self._away = False
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._since = self._clock()

    def rest(self) -> bool:
        """Move the models away if they have been idle for long enough, and say whether they are
        away now."""
        with self._lock:
            idle = self._users == 0 and self._clock() - self._since >= (self._idle or float("inf"))
            if idle and not self._away:
                self._move("cpu")
                self._away = True
            return self._away

    def _move(self, place: Any) -> None:
        import torch

        began = self._clock()
        for model in self._models:
            model.to(place)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        log.info("the models moved to %s in %.1f s", place, self._clock() - began)
