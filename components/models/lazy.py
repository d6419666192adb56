"""Encoders that are loaded when something is to be encoded, and known before: what they are, and on
what their vectors depend. A stage that finds all vectors in the store loads nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from components import config
from components.code_versions import code, libraries
from components.models.fingerprints import arithmetic, fingerprint
from components.vectors import Array

if TYPE_CHECKING:
    from components.models.encoders import ClipEncoder, VisionEncoder

T = TypeVar("T")

_EVEN = 32
"""Batches are filled up to a multiple of this. On a CPU the last digits of a vector depend on how
many pictures are in its batch, though not on which; of whole multiples they are equal."""


class _Lazy(ABC):
    """Arguments as those of :class:`components.models.encoders.ClipEncoder`."""

    kind: str
    """What the vectors are called in the store."""

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        batch: int | None = None,
        share: float = config.MEMORY_SHARE,
    ) -> None:
        self._given = model, revision, batch, share

    @cached_property
    def address(self) -> dict[str, str]:
        """On what the vectors depend, beside the pixels.

        Two accelerators may round differently, and so may two CPUs: that is not told apart.
        """
        model, revision, *_ = self._given
        return {
            "encoder": fingerprint(model, revision),
            "arithmetic": arithmetic(),
            "libraries": libraries("pillow", "pi_heif", "tokenizers", "torch", "transformers"),
            "code": code("components.images.decoding", "components.models.encoders"),
        }

    @property
    @abstractmethod
    def loaded(self) -> ClipEncoder | VisionEncoder:
        """The encoder itself."""

    @property
    def batch(self) -> int:
        """How many pictures go through the model at once."""
        return self.loaded.batch

    @property
    def side(self) -> int | None:
        """See :attr:`components.models.encoders.ClipEncoder.side`."""
        return self.loaded.side

    def images(self, images: Sequence[Image.Image]) -> Array:
        """The features of N pictures: (N, d) float32, each row of length one, whatever other
        pictures there are."""
        return self.loaded.images(_filled(images, self.batch))[: len(images)]


class LazyVision(_Lazy):
    """A :class:`components.models.encoders.VisionEncoder`, loaded when it is needed."""

    kind = "vision"

    @cached_property
    def loaded(self) -> VisionEncoder:
        """The encoder itself."""
        from components.models.encoders import VisionEncoder

        return VisionEncoder(*self._given)


class LazyClip(_Lazy):
    """A :class:`components.models.encoders.ClipEncoder`, loaded when it is needed."""

    kind = "clip"

    @cached_property
    def loaded(self) -> ClipEncoder:
        """The encoder itself."""
        from components.models.encoders import ClipEncoder

        return ClipEncoder(*self._given)

    def texts(self, texts: Sequence[str]) -> Array:
        """The features of N texts: (N, d) float32, each row of length one, whatever other texts
        there are."""
        return self.loaded.texts(_filled(texts, self.batch))[: len(texts)]


def lazy_encoders(params: config.Encoders) -> tuple[LazyClip, LazyVision]:
    """Both encoders as params.yaml names them, neither of them loaded."""
    batch, share = params.batch, params.memory_share
    return (
        LazyClip(params.clip, params.clip_revision, batch, share),
        LazyVision(params.vision, params.vision_revision, batch, share),
    )


def _filled(items: Sequence[T], size: int) -> list[T]:
    """``items``, with the last one repeated until a batch of at most ``size`` is full enough."""
    last = len(items) % size
    return [*items, *[items[-1]] * (min(-last % _EVEN, size - last) if last else 0)]
