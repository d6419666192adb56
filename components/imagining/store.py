"""Which pictures are wanted, and a store that keeps each one that was ever drawn.

Drawing is the expensive step, so no picture is drawn twice: it is kept under an address, the hash
of everything that it depends on, whatever else was drawn beside it. A category that is added, a
prompt that changes or a run that was killed costs the pictures that are not there yet, no more.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, PngImagePlugin

from components import config
from components.files import put, scratch
from components.imagining.seeds import seed_of
from components.progress import track

Identity = Mapping[str, str | int | float]
"""What a picture depends on beside its prompt and seed: components.imagining.generator.identity."""

_RECIPE = "eidolon"  # the PNG text chunk that says what the picture was drawn from


@dataclass(frozen=True)
class Wanted:
    """The ``k``-th picture of a category; ``attempt`` counts those found wrong before it."""

    category: str
    k: int
    prompt: str
    seed: int
    attempt: int = 0

    def again(self, base: int) -> Wanted:
        """The picture to draw in place of this one, which was found wrong."""
        attempt = self.attempt + 1
        return replace(self, attempt=attempt, seed=seed_of(self.prompt, self.k, base, attempt))


def wanted(params: config.Generator, categories: Iterable[str]) -> list[Wanted]:
    """K pictures of each category. Neighbours are of different categories: a small increment
    fills a batch too."""
    names = list(categories)
    prompts = {name: params.prompt_for(name) for name in names}
    return [
        Wanted(name, k, prompts[name], seed_of(prompts[name], k, params.seed))
        for k in range(params.images_per_category)
        for name in names
    ]


def recipe_of(prompt: str, seed: int, identity: Identity) -> str:
    """Everything that a picture depends on, as canonical JSON."""
    everything = {**identity, "prompt": prompt, "seed": seed}
    return json.dumps(everything, sort_keys=True, separators=(",", ":"))


def identity_in(recipe: str) -> Identity:
    """What ``recipe`` says of what a picture depends on beside its prompt and seed."""
    return {k: v for k, v in json.loads(recipe).items() if k not in ("prompt", "seed")}


def address_of(recipe: str) -> str:
    """The address of the picture that ``recipe`` gives: its SHA-256, in hex."""
    return hashlib.sha256(recipe.encode()).hexdigest()


class Store:
    """Pictures by address: ``ab/abcd….png``, each with its recipe inside.

    Several processes, and clones that share the folder, may read and write at the same time. A
    picture appears whole or not at all; one that a power cut or a bad disk damaged is as if absent.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or Path(os.environ.get("EIDOLON_STORE") or ".eidolon/imagined")
        self._scratch: Path | None = None

    def path(self, address: str) -> Path:
        """Where the picture of ``address`` lies, or would."""
        return self.root / address[:2] / f"{address}.png"

    def get(self, address: str) -> bytes | None:
        """The PNG of ``address``, or nothing when it is absent or damaged."""
        try:
            data = self.path(address).read_bytes()
        except FileNotFoundError:
            return None
        return data if _is_sound(data, address) else None

    def put(self, recipe: str, image: Image.Image) -> None:
        """Keep ``image`` under the address of its ``recipe``."""
        text = PngImagePlugin.PngInfo()
        text.add_itxt(_RECIPE, recipe)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=text)
        self._write(address_of(recipe), buffer.getvalue())

    def adopt(self, address: str, file: Path) -> bool:
        """Keep a copy of ``file`` if it is the picture of ``address``; tell whether it was."""
        try:
            data = file.read_bytes()
        except OSError:
            return False
        fits = _is_sound(data, address)
        if fits:
            self._write(address, data)
        return fits

    @contextmanager
    def claiming(self, addresses: Iterable[str]) -> Iterator[None]:
        """Hold ``addresses`` within this block. Whoever else claims one of them waits until the
        block ends or this process dies, and is told so.

        A claim is a lock of one byte of an empty file. There may be many thousands of claims, so
        each cannot be a lock file of its own. Such locks hold on network file systems, too.
        """
        with (self.root / ".claims").open("w") as claims:
            # in order, so that none wait in a ring
            for place in sorted(int(at[:15], 16) for at in addresses):
                try:
                    fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                except (BlockingIOError, PermissionError):  # either means that it is held (POSIX)
                    print("waiting for another process that draws the same", file=sys.stderr)
                    fcntl.lockf(claims, fcntl.LOCK_EX, 1, place)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write within this block, which removes what killed writers left."""
        with scratch(self.root) as place:
            self._scratch = place
            try:
                yield
            finally:
                self._scratch = None

    def _write(self, address: str, data: bytes) -> None:
        if self._scratch is None:
            with self.writing():
                self._write(address, data)
        else:  # not flushed to the disk: what a power cut tears is drawn again
            put(data, self.path(address), self._scratch)


def recipe_in(data: bytes) -> str | None:
    """The recipe of a PNG that is whole, by its CRCs, or nothing."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            found = image.info.get(_RECIPE)
            image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return found if isinstance(found, str) else None


def _is_sound(data: bytes, wanted: str) -> bool:
    """Whether ``data`` is a whole PNG that was drawn from the recipe of the address ``wanted``."""
    recipe = recipe_in(data)
    return recipe is not None and address_of(recipe) == wanted


def draw(
    pictures: Sequence[Wanted],
    params: config.Generator,
    store: Store,
    earlier: Mapping[str, Path] | None = None,
    what: str = "imagine",
) -> dict[Wanted, str]:
    """See that ``store`` has all ``pictures``; draw those that it lacks. Gives their addresses.

    ``earlier`` are files of other runs by address: the store adopts them instead of drawing anew.
    What another process is drawing is waited for; if that is killed, it is drawn here. The model is
    loaded only when something must be drawn. ``what`` heads the lines of progress.
    """
    from components.imagining.generator import Generator, identity

    drawn_with = identity(params)
    recipes = {w: recipe_of(w.prompt, w.seed, drawn_with) for w in pictures}
    addresses = {w: address_of(text) for w, text in recipes.items()}
    # one picture may serve two categories that share a prompt
    needed = {addresses[w]: w for w in pictures}
    with store.writing():
        absent = [
            at
            for at in needed
            if store.get(at) is None
            and not (earlier and at in earlier and store.adopt(at, earlier[at]))
        ]
        with store.claiming(absent):
            # others may have drawn while their claims were waited for
            missing = [needed[at] for at in absent if store.get(at) is None]
            if missing:
                generator = Generator(params)
                size = generator.batch
                batches = [missing[i : i + size] for i in range(0, len(missing), size)]
                for batch in track(batches, what, "pictures", weigh=len):
                    images = generator.draw([w.prompt for w in batch], [w.seed for w in batch])
                    for w, image in zip(batch, images, strict=True):
                        store.put(recipes[w], image)
    return addresses
