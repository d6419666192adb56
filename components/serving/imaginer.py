"""Draws pictures of texts and encodes them: all work of a search that needs heavy models."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from components import config
from components.images.content import ContentClassifier
from components.images.encoding import encode
from components.imagining.generator import Generator
from components.imagining.memory import Drawn
from components.imagining.recipes import Order
from components.models.encoders import load_encoders
from components.models.resting import Resting
from components.threads import cpus
from components.validation.quality import contrast, pixels, sharpness
from components.vectors import Array

log = logging.getLogger("bentoml.eidolon")

WITHHELD = "was withheld by the generator's safety checker"
INDECENT = "was withheld by the content classifier"
_MOST_THREADS = 8  # each holds a picture's pixels as float64
_RECENT = 128  # pictures; two callers that ask for the same at nearly the same time share them


@dataclass(frozen=True)
class Undrawn:
    """A picture that was ordered and not drawn: it was too ``late``, or the generator failed."""

    address: str
    late: bool


class Imaginer:
    """The generator and both encoders, loaded once for all texts."""

    def __init__(
        self,
        generator: config.Generator,
        encoders: config.Encoders,
        content_threshold: float | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        """With a ``content_threshold`` a content classifier judges the pictures too. After
        ``idle_seconds`` without use, :meth:`rest` moves the models off the accelerator."""
        self._classifier = None if content_threshold is None else ContentClassifier()
        self._threshold = content_threshold or 1.0
        self._generator = Generator(generator)
        self._clip, self._vision = load_encoders(encoders)
        # packing and measuring a picture takes longer than an accelerator takes to draw it
        threads = min(_MOST_THREADS, cpus())
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="measure")
        self._resting = Resting((self._generator, self._clip, self._vision), idle_seconds)
        self._recent: OrderedDict[str, Drawn] = OrderedDict()

    def rest(self) -> bool:
        """Move the models away if they have been idle for long enough, and say whether they are
        away now. The next use brings them back."""
        return self._resting.rest()

    def draw(self, orders: Sequence[Order]) -> list[Drawn | Undrawn]:
        """The pictures of ``orders``, in their order, each drawn once however often it is ordered.

        A failure of the generator is logged, and gives :class:`Undrawn` for the pictures of this
        batch. It raises nothing, because other callers' pictures are in the same batch.
        """
        now = time.time()
        wanted = {o.address: o for o in orders if o.address not in self._recent and o.until > now}
        if wanted:
            try:
                with self._resting.in_use():
                    self._keep(self._drawn(list(wanted.values())))
            except Exception:
                log.exception("nothing was drawn")
        late = {o.address for o in orders if o.until <= now}
        return [
            self._recent.get(o.address) or Undrawn(o.address, o.address in late) for o in orders
        ]

    def encode(self, picture: Image.Image) -> Array:
        """The vector (d_vision,) of one picture, of length one."""
        with self._resting.in_use():
            vector: Array = self._vision.images([picture])[0]
        return vector

    def _drawn(self, orders: list[Order]) -> list[Drawn]:
        pictures = self._generator.draw_all([o.prompt for o in orders], [o.seed for o in orders])
        images = [picture.image for picture in pictures]
        vision, clip = self._vision.images(images), self._clip.images(images)
        scores = self._classifier.judge(images) if self._classifier else [0.0] * len(images)
        refused = [
            WITHHELD if picture.withheld else INDECENT if score >= self._threshold else ""
            for picture, score in zip(pictures, scores, strict=True)
        ]
        addresses = [order.address for order in orders]
        return list(self._threads.map(_measured, addresses, images, vision, clip, refused))

    def _keep(self, drawn: list[Drawn]) -> None:
        self._recent.update((one.address, one) for one in drawn)
        while len(self._recent) > max(_RECENT, len(drawn)):
            self._recent.popitem(last=False)


def _measured(address: str, image: Image.Image, vision: Array, clip: Array, refused: str) -> Drawn:
    values = pixels(image)
    return Drawn(
        address=address,
        png=encode(image, "PNG"),
        vision=vision,
        clip=clip,
        contrast=contrast(values),
        sharpness=sharpness(values),
        refused=refused,
    )
