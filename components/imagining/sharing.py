"""Imagined pictures that machines share: each is an object by its address, put there when drawn.

A worker that takes over a shard fetches what is there, and draws the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from components.imagining.store import Store
from components.objects import Objects, shared

_AT_ONCE = 8


class Sharing:
    """The pictures of ``store`` and those of all machines, in ``objects``. Without ``objects``,
    nothing is shared and no method does anything.

    Every method raises what :class:`Objects` raises.
    """

    def __init__(self, store: Store, objects: Objects | None) -> None:
        self.store, self.objects = store, objects
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._on_the_way: list[Future[None]] = []

    def fetch(self, addresses: Iterable[str]) -> set[str]:
        """Bring the pictures of ``addresses`` that any machine has drawn to the store. Returns
        which came. A damaged object counts as absent."""
        if (objects := self.objects) is None:
            return set()

        def fetched(address: str) -> bool:
            data = objects.read(_key(address))
            return data is not None and self.store.take(address, data)

        asked = list(addresses)
        came = self._pool.map(fetched, asked)
        return {at for at, here in zip(asked, came, strict=True) if here}

    def complete(self, addresses: Iterable[str]) -> None:
        """Share the pictures of ``addresses`` that only the store has: they were drawn before
        anything was shared, or their process was killed before it shared them."""
        if (objects := self.objects) is None:
            return

        def completed(address: str) -> None:
            if not objects.exists(_key(address)):
                self._put(address, objects)

        list(self._pool.map(completed, addresses))

    def put(self, addresses: Iterable[str]) -> None:
        """Begin to share new pictures of the store, so that others can be drawn meanwhile. Waits
        until those of the last call are shared."""
        self._wait()
        if (objects := self.objects) is not None:
            self._on_the_way = [self._pool.submit(self._put, at, objects) for at in addresses]

    def close(self) -> None:
        """Wait until all is shared."""
        try:
            self._wait()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _put(self, address: str, objects: Objects) -> None:
        data = self.store.get(address)
        if data is not None:  # else somebody has removed it, and it will be drawn again
            objects.write(_key(address), data)

    def _wait(self) -> None:
        for each in self._on_the_way:
            each.result()


@contextmanager
def sharing(store: Store) -> Iterator[Sharing]:
    """The sharing of ``store``. All is shared when the block ends."""
    found = Sharing(store, shared())
    try:
        yield found
    finally:
        found.close()


def _key(address: str) -> str:
    return f"imagined/{address[:2]}/{address}.png"
