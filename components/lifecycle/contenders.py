"""Scores a version on today's pictures, as it would serve them.

Its aggregator, λ and index come from its bundle. Today's features serve where it was made with
today's models. Otherwise its own encoders embed today's pictures and names again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components import config, descriptions, manifest, names
from components.errors import EidolonError
from components.features.embed import described_text, gridded
from components.features.encoding import describe, encode
from components.features.features import Features
from components.index.build import build_index
from components.index.scoring import Way
from components.kinds import CLASS, DESCRIPTION
from components.learning.aggregator import Aggregator, aggregate
from components.learning.precisions import Rows, precisions
from components.lifecycle.gate import Floats, Precisions
from components.models.fingerprints import content_of, fingerprint
from components.models.lazy import LazyClip, LazyVision
from components.monitoring.agreement import Imagined, Ranker
from components.monitoring.texts import Embed
from components.names import PLACE
from components.serving.loading import Bundle, load
from components.serving.made_with import made_with
from components.vectors import Array

_DRAWN = (
    *("prompt", "description_prompt", "category_prompts", "images_per_category"),
    *("steps", "guidance", "size", "seed"),
)
"""The settings of the generator that its pictures depend on, beside the model."""


@dataclass(frozen=True)
class Contender:
    """A version to be compared: what sentences call it, such as "version 3", and the folder of its
    bundle. ``models`` gives folders to load its models from, by clip and vision, in place of those
    that its bundle names. It is asked only where the version has other models than today's."""

    name: str
    bundle: Path
    models: Callable[[], Mapping[str, Path]] = dict


@dataclass(frozen=True)
class Today:
    """The data that all versions are scored on: the features, and the folders of the pictures that
    they were made of."""

    params: config.Params
    features: Features
    dataset: Path
    accepted: Path


@dataclass(frozen=True)
class Prepared:
    """A version with its features of today's data.

    ``known`` (C,) are the categories that it can be scored on, ``trained`` the folded names of
    those that it was trained on. ``notes`` say what had to be made for it.
    """

    contender: Contender
    bundle: Bundle
    features: Features
    known: npt.NDArray[np.bool_]
    trained: frozenset[str]
    notes: tuple[str, ...]

    def score(self, rows: Rows, params: config.Params) -> Precisions:
        """Its average precision on the categories ``rows``, in the whole gallery."""
        return score(self.features, self.bundle.aggregator, self._temperature(params), rows)

    def ranker(
        self, pixels: Mapping[str, str], embed: Embed, imagined: Imagined, params: config.Params
    ) -> Ranker:
        """What scores today's pictures as the version does. ``pixels`` has the hash of each
        picture's pixels by its path."""
        found, model = self.features, self.bundle.aggregator
        aggregated, paths = aggregate(model, found), enumerate(found.gallery["path"])
        return Ranker(
            gallery=build_index(found, aggregated, self._temperature(params)),
            rows={pixels[path]: row for row, path in paths if path in pixels},
            categories=found.categories["category"].tolist(),
            text=found.text,
            aggregated=aggregated,
            fusion_weight=model.fusion_weight,
            embed=embed,
            imagined=imagined,
        )

    def embed(self, texts: Sequence[str], today: Today) -> Array:
        """The text embeddings (N, d_clip) of texts that are no category, as the version embeds
        them. Raises :class:`EidolonError` when its text encoder is gone or has changed."""
        encoders = today.params.encoders
        now = fingerprint(encoders.clip, encoders.clip_revision)
        own = not _same(str(self.bundle.info["models"]["clip"]), now)
        clip = _clip(self.contender, self.bundle, today, own=own)
        return describe(clip, texts, self.bundle.info["encoders"]["text_templates"])

    def _temperature(self, params: config.Params) -> float:
        index = self.bundle.info.get("index", params.index.model_dump())
        return float(index["hubness_temperature"])


def score(found: Features, model: Aggregator, temperature: float, rows: Rows) -> Precisions:
    """The average precision of the categories ``rows`` in the whole gallery, served as names, as
    free texts, and by descriptions where there are some. ``temperature`` is that of
    :func:`components.index.hubness.hubness`."""
    aggregated, weight = aggregate(model, found), model.fusion_weight
    named, labels = build_index(found, aggregated, temperature), found.labels(found.gallery)
    images = aggregated[rows]
    ways = [
        Way(gallery, images, lam) for lam in (weight, 0.0) for gallery in (named, named.uncorrected)
    ]
    each = precisions(labels, rows, found.text[rows], ways).T
    described: dict[str, Floats] = {}
    for kind in found.kinds:
        if kind != CLASS:
            queries = found.queries(kind, rows)
            way = Way(named, aggregate(model, queries), weight)
            (precision,) = precisions(labels, rows, queries.text, [way])
            described[kind] = np.where(queries.exist, precision, np.nan)
    return Precisions(each[:, :2], each[:, 2:], described)


def prepare(contender: Contender, today: Today) -> Prepared:
    """Load a version, and make its features where it was made with other models than today's.

    Raises :class:`EidolonError` when its bundle is damaged or of another format, or a model that
    would be needed is gone or has changed.
    """
    bundle = load(contender.bundle)
    info, now = bundle.info, made_with(today.params)
    other = {part: not _same(str(info["models"][part]), now[part]) for part in now}
    encoders = today.params.encoders
    found, notes = today.features, []
    if other["clip"] or _templates(info["encoders"]) != _templates(
        encoders.model_dump(mode="json")
    ):
        found = _with_clip(found, contender, bundle, today, pictures=other["clip"])
        notes.append("embedded names" + (" and pictures" if other["clip"] else "") + " by its CLIP")
    if other["vision"]:
        found = _with_vision(found, contender, bundle, today)
        notes.append("embedded pictures by its vision encoder")
    known = np.ones(len(found.categories), dtype=bool)
    if other["generator"] or _draws_otherwise(info["generator"], today.params.generator):
        found, known = _with_own_pictures(found, bundle)
        notes.append(f"took its own imagined pictures, of {known.sum()} of {len(known)} categories")
    if "index" not in info:
        notes.append("took today's settings of the index, which its bundle does not name")
    trained = bundle.categories.loc[bundle.categories["split"] == "train", "category"]
    folded = frozenset(map(names.fold, trained))
    return Prepared(contender, bundle, found, known, folded, tuple(notes))


def _templates(encoders: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The templates of names and of descriptions; an older release had no descriptions."""
    return list(encoders["text_templates"]), list(encoders.get("description_templates", [PLACE]))


def _same(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same content, wherever its folder is."""
    return content_of(one) == content_of(other)


def _draws_otherwise(then: Mapping[str, Any], now: config.Generator) -> bool:
    today = now.model_dump(mode="json")
    return any(then.get(key, today[key]) != today[key] for key in _DRAWN)


def _model(contender: Contender, bundle: Bundle, part: str) -> tuple[str, str | None]:
    """The folder or the name of an encoder, and its commit.

    Raises :class:`EidolonError` when it is gone, or is no longer what the version was made with.
    """
    expected, encoders = str(bundle.info["models"][part]), bundle.info["encoders"]
    model, revision = encoders[part], encoders[f"{part}_revision"]
    given = contender.models().get(part)
    # nobody recorded a hash of what a commit of a hub holds, so a copy of one cannot be checked
    if (
        given is not None
        and given.is_dir()
        and (revision or _same(fingerprint(str(given), None), expected))
    ):
        return str(given), None
    try:
        found = fingerprint(model, revision)
    except EidolonError:
        found = "gone"
    if not _same(found, expected):
        raise EidolonError(
            f"it was made with {expected}, and {model} is {'' if found == 'gone' else 'now '}"
            f"{found}: restore the model"
        )
    return model, revision


def _clip(contender: Contender, bundle: Bundle, today: Today, *, own: bool) -> LazyClip:
    """Today's CLIP, or with ``own`` that of the version."""
    ours = today.params.encoders
    model = _model(contender, bundle, "clip") if own else (ours.clip, ours.clip_revision)
    return LazyClip(*model, ours.batch, ours.memory_share)


def _with_clip(
    found: Features,
    contender: Contender,
    bundle: Bundle,
    today: Today,
    *,
    pictures: bool,
) -> Features:
    """``found`` with text embeddings by the version's CLIP; and with ``pictures``, with the gallery
    embedded by it too."""
    clip, names = _clip(contender, bundle, today, own=pictures), found.categories["category"]
    of_names, of_descriptions = _templates(bundle.info["encoders"])
    found = replace(found, text=describe(clip, names.tolist(), of_names))
    if found.described is not None:
        text = described_text(clip, names, descriptions.load(today.dataset), of_descriptions)
        found = replace(found, described=replace(found.described, text=text))
    if pictures:
        files = [today.dataset / path for path in found.gallery["path"]]
        (vectors,) = encode(files, f"gallery, {contender.name}", clip, reduced=True)
        found = replace(found, gallery_clip=vectors)
    return found


def _with_vision(found: Features, contender: Contender, bundle: Bundle, today: Today) -> Features:
    """``found`` with gallery and imagined pictures embedded by the version's vision encoder."""
    ours = today.params.encoders
    vision = LazyVision(*_model(contender, bundle, "vision"), ours.batch, ours.memory_share)
    files = [today.dataset / path for path in found.gallery["path"]]
    (gallery,) = encode(files, f"gallery, {contender.name}", vision, reduced=True)
    drawn = manifest.read(today.accepted, manifest.ACCEPTED_COLUMNS, "dvc repro validate")
    files = [today.accepted / path for path in drawn["path"]]
    (vectors,) = encode(files, f"imagined, {contender.name}", vision)
    grids = gridded(drawn, vectors, found.categories["category"])
    imagined, accepted = grids[CLASS]
    found = replace(found, gallery_vision=gallery, imagined=imagined, accepted=accepted)
    if found.described is not None:
        imagined, accepted = grids[DESCRIPTION]
        described = replace(found.described, imagined=imagined, accepted=accepted)
        found = replace(found, described=described)
    return found


def _with_own_pictures(found: Features, bundle: Bundle) -> tuple[Features, npt.NDArray[np.bool_]]:
    """``found`` with the imagined pictures of the bundle, and the categories (C,) that it has.

    The other categories keep today's pictures, so that the query bank stays complete. It is not
    compared by descriptions.
    """
    here = {names.fold(name): row for row, name in enumerate(bundle.categories["category"])}
    rows = np.array([here.get(names.fold(name), -1) for name in found.categories["category"]])
    known = rows >= 0
    many = max(found.imagined.shape[1], bundle.imagined.shape[1])
    imagined = np.zeros((len(rows), many, found.imagined.shape[2]), dtype=np.float32)
    accepted = np.zeros(imagined.shape[:2], dtype=bool)
    for chosen, vectors, mask in (
        (~known, found.imagined[~known], found.accepted[~known]),
        (known, bundle.imagined[rows[known]], bundle.accepted[rows[known]]),
    ):
        imagined[chosen, : vectors.shape[1]], accepted[chosen, : mask.shape[1]] = vectors, mask
    return replace(found.of(CLASS), imagined=imagined, accepted=accepted), known
