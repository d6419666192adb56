"""How to leave out what a text must not show: `python -m benchmarks.exclude` prints a table.

"Red star" covers four categories of the embedded world. A search excludes one of their patterns.
What is right follows from the emblems' own attributes: the colour and the shape, in another
pattern. The excluded text is written in three ways, and the strength β is the best for all three
together where the excluded category is one of training or validation. The figures are for those
where it is unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from components import config
from components.confidence.calibrate import imagined
from components.confidence.texts import Text
from components.datasets.emblems import Emblem, emblems, splits
from components.errors import one_sentence
from components.features.features import Features
from components.learning.aggregator import Aggregator
from components.learning.metrics import average_precisions
from components.paths import AGGREGATOR
from components.vectors import Array

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2)
WAYS: dict[str, Callable[[Emblem], str]] = {
    "striped": lambda kind: kind.pattern,
    "a striped star": lambda kind: f"a {kind.pattern} {kind.shape}",
    "a red striped star": lambda kind: f"a {kind.name}",
}
"""The excluded text, by an example of it."""

Vectors = dict[str, tuple[Array, Array]]
"""The text and the aggregated embedding of each text."""


def without(excluded: Array, query: Array) -> Array:
    """``excluded`` (Q, d) without the direction of ``query`` (Q, d).

    So "a striped star" does not push down stars when stars are asked for.
    """
    share = (excluded * query).sum(axis=1, keepdims=True) / (query**2).sum(axis=1, keepdims=True)
    return excluded - share * query


class World:
    """The gallery that `make run` left, and the right pictures of each search."""

    def __init__(self) -> None:
        self._params, self._found = config.load(), Features.load()
        self._model = Aggregator.load(AGGREGATOR / "aggregator.safetensors")
        kinds = [Emblem.parse(name) for name in self._found.categories["category"]]
        self.searches, split_of = emblems(), splits()
        self.unseen = np.array([split_of[kind] == "unseen" for kind in self.searches])
        self._shown = [kinds[row] for row in self._found.labels(self._found.gallery)]
        self._right: npt.NDArray[np.bool_] = self._pictures(
            lambda picture, excluded: (
                picture != excluded
                and (picture.colour, picture.shape) == (excluded.colour, excluded.shape)
            )
        )
        self.left_out = self._pictures(lambda picture, excluded: picture == excluded)
        self._vectors: Vectors = {}

    def _pictures(self, fits: Callable[[Emblem, Emblem], bool]) -> npt.NDArray[np.bool_]:
        return np.array(
            [[fits(picture, kind) for picture in self._shown] for kind in self.searches]
        )

    def vectors(self, text: Callable[[Emblem], str]) -> tuple[Array, Array]:
        """The text and aggregated embeddings of the texts of all searches, each (Q, d)."""
        texts = [text(kind) for kind in self.searches]
        new = [Text("", words) for words in dict.fromkeys(texts) if words not in self._vectors]
        for asked in imagined(new, self._params, self._model, self._found.text) if new else []:
            self._vectors[asked.text.words] = asked.vector, asked.aggregated
        one, other = zip(*(self._vectors[words] for words in texts), strict=True)
        return np.stack(one), np.stack(other)

    def scores(self, text: Array, aggregated: Array) -> Array:
        """The fused scores (Q, N)."""
        lam = np.float32(self._model.fusion_weight)
        return (1 - lam) * self.by_text(text) + lam * (aggregated @ self._found.gallery_vision.T)

    def by_text(self, text: Array) -> Array:
        """The similarities (Q, N) to text embeddings (Q, d_clip)."""
        return text @ self._found.gallery_clip.T

    def precisions(self, scores: Array) -> npt.NDArray[np.float64]:
        """The average precision of each search (Q,)."""
        return average_precisions(scores.astype(np.float32), self._right)

    def leaks(self, scores: Array, first: int = 10) -> float:
        """The share of excluded pictures among the first ten, where they are unseen."""
        best = np.argsort(-scores[self.unseen], axis=1, kind="stable")[:, :first]
        return float(np.take_along_axis(self.left_out[self.unseen], best, axis=1).mean())


def subtracted(world: World) -> dict[str, list[Array]]:
    """What each form subtracts at strength 1, for each way to write the excluded text: (Q, N)."""
    query = world.vectors(lambda kind: f"{kind.colour} {kind.shape}")
    found: dict[str, list[Array]] = {}
    for way in WAYS.values():
        text, aggregated = world.vectors(way)
        rest = without(text, query[0])
        for form, value in {
            "β · text": world.by_text(text),
            "β · text without the query's direction": world.by_text(rest),
            "β · (text and imagined, fused)": world.scores(text, aggregated),
            "β · (both without the query's directions)": world.scores(
                rest, without(aggregated, query[1])
            ),
        }.items():
            found.setdefault(form, []).append(value)
    return found


def chosen(world: World, base: Array, forms: Sequence[Array]) -> float:
    """The strength with the best mean average precision where the excluded category is seen."""

    def seen(strength: float) -> float:
        each = (world.precisions(base - np.float32(strength) * form) for form in forms)
        return float(np.mean([precisions[~world.unseen].mean() for precisions in each]))

    return max(STRENGTHS, key=seen)


def main() -> None:
    """Print mAP, and the share of excluded pictures among the first ten, by form."""
    world = World()
    base = world.scores(*world.vectors(lambda kind: f"{kind.colour} {kind.shape}"))
    named = {"plain": "plain colour", "striped": "stripes", "dotted": "dots", "checked": "checks"}
    words = world.vectors(lambda kind: f"{kind.colour} {kind.shape} without {named[kind.pattern]}")
    table = Table(title='"red star", but not …: mAP (excluded among the first ten)')
    for column in ("form", "β", *WAYS):
        table.add_column(column)

    def row(form: str, strength: str, scores: Sequence[Array]) -> None:
        cells = [
            f"{world.precisions(each)[world.unseen].mean():.3f} ({world.leaks(each):.2f})"
            for each in scores
        ]
        table.add_row(form, strength, *cells)

    row("nothing excluded", "", [base])
    row('in words: "red star without stripes"', "", [world.scores(*words)])
    for form, values in subtracted(world).items():
        strength = chosen(world, base, values)
        row(form, f"{strength}", [base - np.float32(strength) * value for value in values])
        row(form, "0.5", [base - np.float32(0.5) * value for value in values])
    Console(width=110).print(table)


if __name__ == "__main__":
    with one_sentence():
        main()
