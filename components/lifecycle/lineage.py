"""Lineage: traces an answer or a version back to everything that it was made from.

answer → bundle version → MLflow run → dvc.lock → dataset version, generator, prompts, seeds,
validation result, code commit. All of it is read from MLflow; nothing is computed again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.table import Table
from rich.text import Text

from components import config, manifest, names, yaml_text
from components.errors import EidolonError
from components.features.queries import of_name
from components.kinds import BOTH, CLASS, Kind
from components.lifecycle import registry
from components.models.fingerprints import content_of
from components.serving.exclusion import parted
from components.serving.integrity import FORMAT
from components.versioning.lock import collection_hash, dataset_hash

STDIN = "-"
SHOWN = 12  # lines of one value, for people


class _BundleName(BaseModel):
    version: int
    digest: str = Field(pattern="^[0-9a-f]{12}$")


class Answer(BaseModel):
    """The part of an answer of `POST /search` that tells where it came from."""

    model_config = ConfigDict(extra="ignore")

    query: str
    known: bool
    fusion_weight: float = Field(alias="lambda")
    bundle: _BundleName
    seeds: list[int]
    kind: Kind = CLASS
    excluded: str | None = None


@dataclass(frozen=True)
class Imagined:
    """One imagined picture behind an answer.

    ``sha256`` is the hash of its file, empty for a picture that was imagined for this query alone.
    """

    prompt: str
    seed: int
    sha256: str


OWN = "the description that came with the query"
"""The prompt of a picture that was imagined for a description: the answer does not repeat it."""


def read_answer(text: str) -> Answer:
    """Parse the JSON of an answer. Raises :class:`EidolonError` when it is not one."""
    try:
        return Answer.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise EidolonError(
            f"this is no answer of POST /search ({where}: {first['msg']}): give its JSON, or a"
            " version"
        ) from None


def trace(subject: str) -> dict[str, Any]:
    """The lineage of ``subject``, from the answer or version down to the code.

    ``subject`` is a version's number or alias, a file with an answer, or ``-`` for an answer on
    stdin. Raises :class:`EidolonError` for an unknown version, for something that is not an answer,
    and for a version of an older release that this one cannot read.
    """
    if subject != STDIN and (subject.isdecimal() or registry.version_of(subject)):
        return of_version(subject)
    try:
        text = sys.stdin.read() if subject == STDIN else Path(subject).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise EidolonError(
            f"{subject} is neither a version, nor an alias of one, nor a file with an answer"
            f" ({error.strerror if isinstance(error, OSError) else error}): `eidolon data log`"
            " lists the versions"
        ) from None
    return of_answer(read_answer(text))


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """A lineage for people: one table for each step, from the answer down to the code."""
    for step, values in found.items():
        table = Table(
            title=step.replace("_", " "), title_justify="left", box=None, show_header=False
        )
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in values.items():
            lines = _lines(value)
            if len(lines) > SHOWN:
                lines = [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more: --json has all"]
            for line in lines:
                table.add_row(name, Text(line))
                name = ""
        yield table


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {_short(inner)}" for key, inner in value.items()]
    if isinstance(value, list):
        return [_short(inner) for inner in value] or ["none"]
    return [_short(value)]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def of_version(version: str) -> dict[str, Any]:
    """The lineage of a registered version, with the prompts and seeds of all its pictures.

    Raises :class:`EidolonError` as :func:`trace` does.
    """
    registered = registry.registered(version)
    kept = _kept(registered)
    with _of_this_format(registered, kept):
        rows = _accepted(kept)
        drawn = rows.groupby(["category", "prompt"])["seed"].agg(list).rename("seeds")
        categories = drawn.reset_index().to_dict("records")
        imagined = {"pictures": len(rows), "categories": categories}
        return {"imagined": imagined} | _of(registered, kept)


def of_answer(answer: Answer) -> dict[str, Any]:
    """The lineage of an answer: that of its bundle, with the prompts and seeds behind the answer.

    Raises :class:`EidolonError` as :func:`trace` does, when the registry has another bundle under
    that number, and when the bundle cannot have given this answer.
    """
    registered = registry.registered(str(answer.bundle.version))
    kept = _kept(registered)
    digest = hashlib.sha256(kept["bundle/bundle.json"].encode()).hexdigest()
    if not digest.startswith(answer.bundle.digest):
        raise EidolonError(
            f"the answer's bundle {answer.bundle.digest!r} is not version {answer.bundle.version}"
            f" of this registry ({digest[:12]}): set MLFLOW_TRACKING_URI to the one it came from"
        )
    with _of_this_format(registered, kept):
        return {
            "answer": {
                "query": answer.query,
                "known": answer.known,
                "lambda": answer.fusion_weight,
                "imagined": [vars(picture) for picture in _imagined(answer, kept)],
            }
        } | _of(registered, kept)


def _kept(version: registry.Registered) -> dict[str, str]:
    """The texts of the artifacts that the lineage is read from, by their path."""
    return registry.artifacts(version, "dvc.lock", "lineage", "bundle/bundle.json")


@contextmanager
def _of_this_format(version: registry.Registered, kept: dict[str, str]) -> Iterator[None]:
    """Raise :class:`EidolonError` within this block for what a bundle of another format lacks."""
    try:
        yield
    except (KeyError, ValidationError):
        found = json.loads(kept["bundle/bundle.json"]).get("format")
        if found == FORMAT:
            raise
        raise EidolonError(
            f"version {version.version} has a bundle of format {found}, and this release reads"
            f" format {FORMAT}: check out its commit {version.tags.get('commit', 'unknown')}, and"
            " trace it there"
        ) from None


def _of(version: registry.Registered, kept: dict[str, str]) -> dict[str, Any]:
    """All steps of the lineage from the bundle down to the code."""
    info, lock = json.loads(kept["bundle/bundle.json"]), kept["dvc.lock"]
    tags = version.tags
    pins = {name: content_of(model) for name, model in info["models"].items()}
    pointer = kept.get("lineage/pictures.dvc")
    older = kept.get("lineage/collection.csv", "")  # which earlier releases kept, with all rows
    recorded = json.loads(kept.get("lineage/source.json", "{}")).get("collection")
    collected = recorded["pictures"] if recorded else len(older.splitlines()[1:])
    return {
        "bundle": {
            "version": int(version.version),
            "aliases": list(version.aliases),
            "registered": version.created.isoformat(timespec="seconds"),
            "digest": hashlib.sha256(kept["bundle/bundle.json"].encode()).hexdigest(),
        },
        "verdict": {
            "gate": tags.get(registry.VERDICT, "has not judged it"),
            "reason": tags.get(f"{registry.VERDICT}_reason", ""),
            "trial": tags.get(registry.TRIAL, "none"),
        },
        "run": {
            "run_id": version.run_id,
            "tracking_uri": registry.tracking_uri(),
            "artifacts": f"runs:/{version.run_id}",
        },
        "dvc_lock": {
            "sha256": hashlib.sha256(lock.encode()).hexdigest(),
            "stages": {
                name: stage["outs"][0]["md5"]
                for name, stage in yaml_text.parsed(lock)["stages"].items()
            },
        },
        "dataset": {
            "dvc": dataset_hash(lock),
            "pictures": int(tags["pictures"]),
            "categories": int(tags["categories"]),
            "ingested": {"dvc": collection_hash(pointer), "pictures": collected},
        },
        "models": info["models"],
        "generator": info["generator"] | {"revision": pins["generator"]},
        "encoders": info["encoders"]
        | {"clip_revision": pins["clip"], "vision_revision": pins["vision"]},
        "validation": info["validation"],
        "metrics": info["metrics"]["map"],
        "code": {"commit": tags["commit"], "dirty": tags["dirty"]},
    }


def _accepted(kept: dict[str, str]) -> pd.DataFrame:
    path = "lineage/accepted.csv"
    return manifest.kept(kept[path], ("category", "prompt", "seed", "sha256"), path)


def _imagined(answer: Answer, kept: dict[str, str]) -> list[Imagined]:
    """The pictures behind an answer.

    For a known category these are its accepted pictures. For any other text they follow from the
    answer's seeds and the generator's prompt.
    """
    wanted = answer.query if answer.excluded is None else parted(names.plain(answer.query))[0]
    words, folded = names.query_text(wanted), names.fold(wanted)
    path = "lineage/dataset.csv"
    dataset = manifest.kept(kept[path], ("category",), path)
    if answer.known != (folded in {*map(names.fold, dataset["category"].unique())}):
        called = "a category" if answer.known else "no category"
        raise EidolonError(
            f"the answer takes {words!r} for {called}, and its version does not: give the answer"
            " unchanged"
        )
    if not answer.known:
        generator = json.loads(kept["bundle/bundle.json"])["generator"]
        prompt = config.Generator.model_validate(generator).prompt_for(words)
        many = len(answer.seeds)
        first = of_name(many) if answer.kind == BOTH else many
        return [Imagined(prompt if i < first else OWN, s, "") for i, s in enumerate(answer.seeds)]
    rows = _accepted(kept)
    rows = rows[rows["category"].map(names.fold) == folded].set_index("seed")
    if answer.kind != BOTH:
        rows = rows[rows["kind"] == answer.kind]
    # by both, half of each were used, and a description may have come with the query
    if answer.kind != BOTH and sorted(answer.seeds) != sorted(rows.index):
        raise EidolonError(
            f"the answer's seeds are not those of {words!r} in its version: give the answer"
            " unchanged"
        )
    return [
        Imagined(str(rows["prompt"][seed]), seed, str(rows["sha256"][seed]))
        if seed in rows.index
        else Imagined(OWN, seed, "")
        for seed in answer.seeds
    ]
