"""The stage `calibrate`: fits the confidence to texts whose answer is known, and measures it.

Known categories are asked as if they were any text: with their pictures in the gallery, and, as the
hardest nonsense, with their pictures taken out. Other texts are imagined here, and from which
agreement on their pictures are worth ranking by is chosen by them too. Everything is fitted on
training and validation categories, in a gallery of these alone. Everything is measured on unseen
categories and on other texts, in the whole gallery. The gate's categories serve for neither.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from components import config, tables
from components.confidence import agreeing
from components.confidence import texts as written
from components.confidence.confidence import BEST, OF_TEXT, Confidence, Floats, Known, features_of
from components.confidence.confidence import FEATURES as COLUMNS
from components.confidence.fit import fitted, flat
from components.confidence.report import judged, plot, summary
from components.confidence.texts import Text
from components.errors import EidolonError
from components.features.encoding import describe, encode
from components.features.features import Features
from components.features.queries import Bools
from components.files import folder_aside, write_json
from components.imagining.drawing import LazyGenerator, draw
from components.imagining.recipes import wanted
from components.imagining.store import Store
from components.index.blocks import blocks
from components.index.gallery import Gallery, Streams, streams_of
from components.learning.aggregator import Aggregator, aggregate
from components.models.lazy import lazy_encoders
from components.paths import AGGREGATOR, CONFIDENCE, FEATURES
from components.validation.measure import agreement
from components.vectors import Array, normalized

MODELS = {"full": COLUMNS, "text": COLUMNS[:OF_TEXT]}
"""The features of each model."""

CONTROL = COLUMNS[0]
"""The similarity that ``flat`` has a threshold on: what the models must beat."""

NAMES = ("trained", "known")
"""The kinds of texts that are names of categories: those of training, and others."""

REMOVED = "_removed"
"""The end of the kind of a text whose pictures were taken out of the gallery."""

_DIGITS = 6  # decimals of a feature
_AT_ONCE = 2**24  # similarities in double precision at a time: 128 MiB
Rows = npt.NDArray[np.intp]


class Asked(NamedTuple):
    """A text, its text embedding (d_clip,) and its aggregated embedding (d_vision,), which is zero
    where no picture is fit to use. ``agreement`` is the mean of those pictures with the text, NaN
    where there are none and for the names of categories, whose pictures `validate` judges."""

    text: Text
    vector: Array
    aggregated: Array
    agreement: float = math.nan


@dataclass(frozen=True)
class World:
    """A gallery. ``labels`` (N,) are the categories of its pictures, as rows of ``known``. The rows
    ``outside`` and their pictures do not exist in this world."""

    gallery: Gallery
    labels: Rows
    known: Known
    outside: Rows

    @cached_property
    def exist(self) -> Bools:
        """The pictures (N,) of this world."""
        return ~np.isin(self.labels, self.outside)

    @cached_property
    def pictured(self) -> Rows:
        """The categories of this world that have pictures."""
        return np.unique(self.labels[self.exist])


def calibrate(
    params: config.Params,
    source: Path = FEATURES,
    aggregator: Path = AGGREGATOR,
    out: Path = CONFIDENCE,
) -> dict[str, Any]:
    """Fit the confidence, and write it with its metrics, its texts and a plot to ``out``.

    Returns the content of ``metrics.json``. Raises :class:`EidolonError` when a file is missing or
    damaged, and when no training or validation category has gallery pictures.
    """
    found = Features.load(source)
    model = Aggregator.load(aggregator / "aggregator.safetensors")
    aggregated = aggregate(model, found)
    trained, validation, unseen, kept = map(found.rows, ("train", "validation", "unseen", "gate"))
    categories = found.categories["category"].tolist()
    to_fit, to_measure = texts(categories, [*trained, *validation], list(unseen), params.calibrate)
    asked = imagined([*to_fit, *to_measure], params, model, found.text)

    def known(kind: str, rows: Rows) -> list[Asked]:
        return [
            Asked(Text(kind, categories[i], (int(i),)), found.text[i], aggregated[i]) for i in rows
        ]

    first, second = asked[: len(to_fit)], asked[len(to_fit) :]
    within = world(found, aggregated, np.union1d(unseen, kept))
    fit = table(within, [*known(NAMES[0], trained), *known(NAMES[1], validation), *first])
    if not fit["relevant"].any():
        raise EidolonError(
            "no training or validation category has gallery pictures, so the confidence cannot be"
            " fitted: add pictures to the dataset"
        )
    whole = world(found, aggregated, unseen[:0])
    held = table(whole, [*known(NAMES[1], unseen), *second])
    least = agreeing.limit(ranked(within, first, model))
    models = {
        name: fitted(fit, columns, params.calibrate.recall) for name, columns in MODELS.items()
    }
    held = judged(held, models, MODELS)
    metrics = {name: summary(held, name, model.threshold) for name, model in models.items()}
    metrics["flat"] = summary(held, CONTROL, flat(fit, CONTROL, params.calibrate.recall))
    metrics["agreement"] = agreeing.summary(ranked(whole, second, model), least, params.evaluate)
    with folder_aside(out) as aside:
        Confidence(models["text"], models["full"], least).save(aside / "confidence.json")
        write_json(aside / "metrics.json", metrics)
        tables.write(aside / "fitted.csv", fit)
        tables.write(aside / "measured.csv", held)
        plot(held, models["full"].threshold, aside / "confidence.png")
    return metrics


def texts(
    categories: Sequence[str], seen: Sequence[int], unseen: Sequence[int], params: config.Calibrate
) -> tuple[list[Text], list[Text]]:
    """The texts to imagine: those to fit the confidence to, and those to measure it by.

    Descriptions of the categories ``seen`` are for the one, of ``unseen`` for the other. Those of
    both, such as "star", are shared out.
    """
    rng, half = random.Random(params.seed), params.texts // 2
    to_fit, to_measure = [], []
    for kind in written.DESCRIPTIONS:
        one, other = (
            [text for text in written.descriptions(categories, rows) if text.kind == kind]
            for rows in (seen, unseen)
        )
        shared = rng.sample(both := [text for text in one if text in other], len(both))
        one = [text for text in one if text not in shared[::2]]
        other = [text for text in other if text not in shared[1::2]]
        to_fit += rng.sample(one, min(half, len(one)))
        to_measure += rng.sample(other, min(half, len(other)))
    nonsense = written.letters(categories, 2 * half, rng)
    nonsense += written.foreign(categories)
    for kind in written.NONSENSE:
        some = [text for text in nonsense if text.kind == kind]
        chosen = rng.sample(some, min(2 * half, len(some)))
        to_fit, to_measure = to_fit + chosen[::2], to_measure + chosen[1::2]
    return to_fit, to_measure


def imagined(
    listed: Sequence[Text], params: config.Params, model: Aggregator, known: Array
) -> list[Asked]:
    """Embed and imagine the texts ``listed``. ``known`` (C, d_clip) are the text embeddings of the
    categories' names.

    As in the service, pictures that do not show their text are left out. There they are drawn once
    more, here they are not.
    """
    words, store = [text.words for text in listed], Store()
    clip, vision = lazy_encoders(params.encoders)
    pictures = wanted(params.generator, words)
    at = draw(pictures, LazyGenerator(params.generator), store, what="calibrate")
    encoded = encode([store.path(at[w]) for w in pictures], "imagined", clip, vision)
    shown, seen = (
        vectors.reshape(params.generator.images_per_category, len(words), -1).swapaxes(0, 1)
        for vectors in encoded
    )
    by_text = describe(clip, words, params.encoders.text_templates)
    agreed = np.stack(
        [
            agreement(of_one, np.broadcast_to(text, of_one.shape), normalized(known))
            for of_one, text in zip(shown, normalized(by_text), strict=True)
        ]
    )
    fit = agreed >= params.validation.min_agreement
    with torch.inference_mode():
        aggregated = model(torch.from_numpy(seen.copy()), torch.from_numpy(fit)).numpy()
    means = np.where(fit, agreed, 0).sum(axis=1) / np.where(
        fit.any(axis=1), fit.sum(axis=1), np.nan
    )
    return list(map(Asked, listed, by_text, aggregated, means.tolist()))


def ranked(on: World, asked: Sequence[Asked], model: Aggregator) -> pd.DataFrame:
    """How good the texts that pictures of the world ``on`` fit are by text alone, and fused:
    :func:`components.confidence.agreeing.ranked`."""
    fits = [one for one in asked if np.isin(on.pictured, one.text.covers).any()]
    return agreeing.ranked(
        on.gallery,
        on.labels,
        on.exist,
        [one.text.covers for one in fits],
        np.array([one.vector for one in fits]),
        np.array([one.aggregated for one in fits]),
        [one.agreement for one in fits],
        model.fusion_weight,
    )


def world(found: Features, aggregated: Array, outside: Rows) -> World:
    """The gallery without the categories ``outside``, as a world of its own."""
    gallery = Gallery(found.gallery_clip, found.gallery_vision)
    return World(gallery, found.labels(found.gallery), Known(found.text, aggregated), outside)


def table(on: World, asked: Sequence[Asked]) -> pd.DataFrame:
    """The features of all texts in the world ``on``: a row for each, with its kind, its words,
    whether the gallery has pictures of it (``relevant``, 0 or 1), and its features.

    The name of a category is asked as if it were not known. A text with pictures is also asked
    without these, and without the names of their categories; its kind then ends in
    :data:`REMOVED`.
    """
    rows = []
    for some in blocks(len(asked), len(on.labels), _AT_ONCE):
        part = asked[some]
        by_text = _similar(on.gallery.clip, np.stack([one.vector for one in part]))
        by_image = _similar(on.gallery.vision, np.stack([one.aggregated for one in part]))
        for number, (text, vector, aggregated, _) in enumerate(part):
            image = by_image[number] if aggregated.any() else None
            for kind, relevant, shown, own in _cases(on, text):
                streams = _streams(by_text[number], image, np.flatnonzero(shown))
                found = features_of(vector, streams, on.gallery, on.known, own)
                rows.append((kind, text.words, relevant, *found.round(_DIGITS)))
    return pd.DataFrame(rows, columns=["kind", "words", "relevant", *COLUMNS])


def _similar(pictures: Array, vectors: Array) -> Floats:
    """The similarities (Q, N) of ``vectors`` (Q, d) to ``pictures`` (N, d), in double precision, so
    that the rounded features are equal on every processor."""
    exact, found = vectors.astype(np.float64), np.empty((len(vectors), len(pictures)))
    for rows in blocks(len(pictures), pictures.shape[1], _AT_ONCE):
        found[:, rows] = exact @ pictures[rows].astype(np.float64).T
    return found


def _streams(by_text: Floats, by_image: Floats | None, shown: Rows) -> Streams:
    """The streams of a query in a gallery of which only the pictures ``shown`` are there."""
    found = streams_of(by_text[shown], None if by_image is None else by_image[shown], BEST)
    text, image = found.text, found.image
    return found._replace(
        text=text._replace(rows=shown[text.rows]),
        image=image and image._replace(rows=shown[image.rows]),
    )


def _cases(on: World, text: Text) -> Iterator[tuple[str, int, Bools, Rows]]:
    """The kind, the answer, the pictures (N,) that are there, and the rows that are not other
    categories."""
    if not text.covers:
        yield text.kind, 0, on.exist, on.outside
        return
    without = np.union1d(on.outside, text.covers)
    if np.isin(on.pictured, text.covers).any():
        yield text.kind, 1, on.exist, without if text.kind in NAMES else on.outside
    rest = ~np.isin(on.labels, without)
    if rest.any():
        yield text.kind + REMOVED, 0, rest, without
