"""Drawing the pictures that the store lacks, so that none is ever drawn twice.

A picture that is there is not drawn again, whatever else was drawn beside it. A new category, a
changed prompt or a killed run costs only the pictures that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components import config
from components.imagining.recipes import Wanted, address_of, recipe_of
from components.imagining.store import Store
from components.progress import track


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
