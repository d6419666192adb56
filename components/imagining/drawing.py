"""Drawing the pictures that are missing in the store, so that no picture is ever drawn twice.

A picture in the store is reused, whichever run drew it. So a new category, a changed prompt or a
killed run costs only the pictures that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components import config
from components.imagining.identity import identity
from components.imagining.recipes import Wanted, address_of, recipe_of
from components.imagining.sharing import Sharing, sharing
from components.imagining.store import Store
from components.progress import note, track

if TYPE_CHECKING:
    from components.imagining.generator import Generator


class LazyGenerator:
    """A generator that is loaded when something must be drawn, and then kept for what follows."""

    def __init__(self, params: config.Generator) -> None:
        self.params = params

    @cached_property
    def loaded(self) -> Generator:
        """The generator itself."""
        from components.imagining.generator import Generator  # takes seconds

        return Generator(self.params)


def draw(
    pictures: Sequence[Wanted],
    generator: LazyGenerator,
    store: Store,
    earlier: Mapping[str, Path] | None = None,
    what: str = "imagine",
) -> dict[Wanted, str]:
    """Draw those of ``pictures`` that ``store`` lacks, and return the addresses of all.

    ``earlier`` maps addresses to files of other runs: the store takes these over instead of drawing
    them again. If another process is drawing a picture, this waits for it. If that process is
    killed, the picture is drawn here. Where machines share pictures, those that another one has
    drawn are fetched, and each batch is shared as soon as it is drawn. The model is loaded only
    when something must be drawn. ``what`` names the work in the progress lines.

    Raises what :class:`components.objects.Objects` raises, where pictures are shared.
    """
    drawn_with = identity(generator.params)
    recipes = {w: recipe_of(w.prompt, w.seed, drawn_with) for w in pictures}
    addresses = {w: address_of(text) for w, text in recipes.items()}
    # one picture may serve two categories that share a prompt
    needed = {addresses[w]: w for w in pictures}
    with store.writing(), sharing(store) as others:
        absent = [
            at
            for at in needed
            if store.get(at) is None
            and not (earlier and at in earlier and store.adopt(at, earlier[at]))
        ]
        others.complete(needed.keys() - set(absent))
        with store.claiming(absent):
            # another process may have drawn some of them while this one waited for its claims
            still = [at for at in absent if store.get(at) is None]
            fetched = others.fetch(still)
            missing = [needed[at] for at in still if at not in fetched]
            drawn = _draw(missing, generator, recipes, others, what) if missing else 0
        if others.objects is not None:
            note(f"{what}: {len(still) - drawn:,} pictures fetched, {drawn:,} drawn")
    return addresses


def _draw(
    missing: Sequence[Wanted],
    generator: LazyGenerator,
    recipes: Mapping[Wanted, str],
    others: Sharing,
    what: str,
) -> int:
    """Draw ``missing``, batch by batch. Returns how many were drawn: another machine may draw the
    same ones at the same time, and what it has shared is fetched."""
    drawn, size = 0, generator.loaded.batch
    batches = [missing[i : i + size] for i in range(0, len(missing), size)]
    for whole in track(batches, what, "pictures", weigh=len):
        came = others.fetch(address_of(recipes[w]) for w in whole)
        batch = [w for w in whole if address_of(recipes[w]) not in came]
        if batch:
            images = generator.loaded.draw([w.prompt for w in batch], [w.seed for w in batch])
            for w, image in zip(batch, images, strict=True):
                others.store.put(recipes[w], image)
            others.put(address_of(recipes[w]) for w in batch)
            drawn += len(batch)
    return drawn
