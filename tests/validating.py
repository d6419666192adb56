"""The toy project's parameters and measurements of validation."""

from __future__ import annotations

from typing import Any

import pandas as pd

from components import config
from components.datasets.emblems import Emblem, emblems
from components.paths import VALIDATION


def changed(**values: Any) -> config.Params:
    """The toy's parameters with ``values`` for the section `validate`."""
    params = config.load()
    return params.model_copy(update={"validation": params.validation.model_copy(update=values)})


def measurements() -> pd.DataFrame:
    return pd.read_csv(VALIDATION / "measurements.csv", keep_default_na=False)


def chosen() -> list[Emblem]:
    """40 categories that differ in one attribute or more, of all splits."""
    return [
        c for c in emblems() if c.colour in ("red", "teal") and c.pattern in ("plain", "striped")
    ]
