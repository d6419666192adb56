"""Features of pictures that are neither here nor in a kept version, and those of other encoders.

A feature can be computed again from its picture, so removing one costs only time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress

from components import config
from components.features.store import FeatureStore, keys
from components.lifecycle import registry
from components.lifecycle.registry import Registered
from components.paths import ACCEPTED, DATASET, IMAGINED, VALIDATION
from components.pruning.garbage import Garbage, hashes_in, hashes_of
from components.serving.made_with import made_with

_HERE = (
    DATASET / "manifest.csv",
    IMAGINED / "manifest.csv",
    ACCEPTED / "manifest.csv",
    VALIDATION / "measurements.csv",
)
_KEPT = ("lineage/dataset.csv", "lineage/accepted.csv")
_MADE_WITH = "bundle/bundle.json"


def unused(kept: Iterable[Registered]) -> Garbage | None:
    """The features of pictures that neither the outputs of the stages here nor the versions in
    ``kept`` have, and of encoders that neither params.yaml nor these versions name.

    ``None`` where `EIDOLON_FEATURES` names a folder: other clones may share it.
    """
    if os.environ.get("EIDOLON_FEATURES"):
        return None
    encoders = set(made_with(config.load()).values())
    pictures = hashes_of(_HERE)
    for version in kept:
        with suppress(registry.MissingArtifactError):  # an older release registered it
            kept_texts = registry.artifacts(version, *_KEPT, _MADE_WITH)
            encoders |= set(json.loads(kept_texts[_MADE_WITH])["models"].values())
            for name in _KEPT:
                pictures |= hashes_in(kept_texts[name], name)
    needed, store = keys(sorted(pictures - {""})), FeatureStore()

    def remove() -> None:
        store.keep(needed, encoders)

    freed = store.keep(needed, encoders, dry=True)
    return Garbage("features of pictures and texts", int(freed > 0), freed, remove)
