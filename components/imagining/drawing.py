"""Drawing the pictures that are missing in the store, so that no picture is ever drawn twice.

A picture in the store is reused, whichever run drew it. So a new category, a changed prompt or a
killed run costs only the pictures that are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components import config
from components.imagining.identity import identity
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
    """Draw those of ``pictures`` that ``store`` lacks, and return the addresses of all.

    ``earlier`` maps addresses to files of other runs: the store takes these over instead of drawing
    them again. If another process is drawing a picture, this waits for it. If that process is
    killed, the picture is drawn here. The model is loaded only when something must be drawn.
    ``what`` names the work in the progress lines.
    """
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
            # another process may have drawn some of them while this one waited for its claims
            missing = [needed[at] for at in absent if store.get(at) is None]
            if missing:
                from components.imagining.generator import Generator  # takes seconds

                generator = Generator(params)
                size = generator.batch
                batches = [missing[i : i + size] for i in range(0, len(missing), size)]
                for batch in track(batches, what, "pictures", weigh=len):
                    images = generator.draw([w.prompt for w in batch], [w.seed for w in batch])
                    for w, image in zip(batch, images, strict=True):
                        store.put(recipes[w], image)
    return addresses
