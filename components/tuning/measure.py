"""Measures every point of a grid on the validation categories, over their training pictures.

Unseen categories and the gallery take no part, so that figures reported of them stay honest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components import config
from components.errors import EidolonError
from components.features.encoding import encode
from components.features.features import Features
from components.imagining.store import Store
from components.index.gallery import Gallery
from components.index.scoring import Way
from components.kinds import CLASS
from components.learning.aggregator import Aggregator, aggregate
from components.learning.intervals import Estimate, bootstrap
from components.learning.precisions import precisions
from components.learning.selection import calibrate
from components.learning.selection import grid as weights
from components.models.lazy import LazyClip, LazyVision, lazy_encoders
from components.paths import AGGREGATOR, DATASET
from components.tuning import timing
from components.tuning.drawn import Drawn, imagine
from components.tuning.grid import Grid
from components.tuning.points import Cost, Point
from components.tuning.timing import Seconds
from components.validation.measure import Meter

_ALIKE = 0.99  # cosine of one picture's features from two machines; other models give far less
_FLOAT = 4  # bytes


@dataclass(frozen=True)
class Measured:
    """All points of a grid, and the mAP of text alone for comparison."""

    points: list[Point]
    text: Estimate


def measure(params: config.Params, grid: Grid, store: Store | None = None) -> Measured:
    """Measure each point of ``grid`` with the trained aggregator. Its λ is the one that is best for
    the validation categories.

    Raises :class:`EidolonError` when the features or the aggregator are missing, damaged or not by
    the encoders of ``params``, and when there are no validation categories.
    """
    features, model = _trained()
    clip, vision = lazy_encoders(params.encoders)
    _check_encoders(features, clip, vision)
    meter = Meter(params.encoders, features.categories["category"].tolist())
    names = features.categories["category"].iloc[features.rows("validation")].tolist()
    settings = grid.settings(params.generator)
    drawn = [imagine(names, one, params, meter, store or Store()) for one in settings]
    drawing = timing.drawing(settings, grid.counts)
    encoding = timing.encoding(clip.loaded, vision.loaded, params.generator.size, grid.counts)
    points = [
        _point(
            setting.model_copy(update={"images_per_category": count}),
            pictures,
            features,
            model,
            params,
            seconds + encoding,
        )
        for setting, pictures, seconds in zip(settings, drawn, drawing, strict=True)
        for count in grid.counts
    ]
    return Measured(points, _precision(features, model, 0.0, params.evaluate))


def _trained() -> tuple[Features, Aggregator]:
    """What the stages `embed` and `train` made."""
    features = Features.load()
    file = AGGREGATOR / "aggregator.safetensors"
    if not file.is_file():
        raise EidolonError(f"{file} is missing: run `dvc repro train`")
    model = Aggregator.load(file)
    if model.dim != features.training_vision.shape[1]:
        raise EidolonError(
            f"{file} is for features of {model.dim} dimensions, not"
            f" {features.training_vision.shape[1]}: run `dvc repro train`"
        )
    if not np.isin(features.labels(features.training), features.rows("validation")).any():
        raise EidolonError(
            "there are no validation categories with training pictures to choose by: add categories"
            " to the dataset, or raise dataset.validation_share, and run `dvc repro train`"
        )
    return features, model


def _check_encoders(features: Features, clip: LazyClip, vision: LazyVision) -> None:
    """Raise :class:`EidolonError` unless the encoders give a picture the features that it has."""
    file = DATASET / features.training["path"].iloc[0]
    found = encode([file], "training", clip, vision, reduced=True)
    known = features.training_clip[0], features.training_vision[0]
    for own, stored in zip(found, known, strict=True):
        if own.shape[1] != stored.size or float(own[0] @ stored) < _ALIKE:
            raise EidolonError(
                "artifacts/features is not of the encoders and the dataset that are here now: run"
                " `dvc repro train`"
            )


def _point(
    setting: config.Generator,
    drawn: Drawn,
    features: Features,
    model: Aggregator,
    params: config.Params,
    seconds: Seconds,
) -> Point:
    count = setting.images_per_category
    here = drawn.within(features, count, params.validation.min_accepted)
    fusion_weight, _ = calibrate(model, here, weights(params.train.fusion_weight_step))
    redrawn = float(drawn.redrawn[:, :count].mean())
    vision, clip = features.training_vision.shape[1], features.training_clip.shape[1]
    picture = drawn.png_bytes + _FLOAT * vision
    return Point(
        count=count,
        steps=setting.steps,
        guidance=setting.guidance,
        fusion_weight=fusion_weight,
        map=_precision(here, model, fusion_weight, params.evaluate),
        accepted=float(drawn.accepted[:, :count].mean()),
        redrawn=redrawn,
        cost=Cost(
            query_seconds=seconds.alone[count],
            category_seconds=count * seconds.picture * (1 + redrawn),
            query_bytes=round(count * (picture + _FLOAT * clip)),
            category_bytes=round(count * picture + _FLOAT * vision),
        ),
    )


def _precision(
    features: Features, model: Aggregator, fusion_weight: float, params: config.Evaluate
) -> Estimate:
    """The mean average precision of the validation categories, over the training pictures and
    without a correction for hubness, as λ is chosen."""
    rows = features.rows("validation")
    queries = features.queries(CLASS, rows)
    gallery = Gallery(features.training_clip, features.training_vision)
    way = Way(gallery, aggregate(model, queries), fusion_weight)
    (found,) = precisions(features.labels(features.training), rows, queries.text, [way])
    return bootstrap(
        found,
        samples=params.bootstrap,
        seed=params.seed,  # the same for all points, so that differences are paired
        least=params.min_categories,
    )
