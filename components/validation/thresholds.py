"""`eidolon thresholds`: the distributions that the limits of params.yaml cut, to set them from.

Beside the pictures as imagined stand the same pictures under a wrong name, each given to another
category drawn at random: what agreement and siblings must tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from components import config, manifest
from components.paths import DATASET, IMAGINED
from components.validation.judge import judge, limits
from components.validation.limit import Limit
from components.validation.measure import Measured, Meter, agreement

Values = npt.NDArray[np.float64]

_PICTURES, _WRONG = "#2c6e8f", "#d98f2b"
_NOTHING: Values = np.empty(0)


@dataclass(frozen=True)
class Distribution:
    """What was measured of the pictures that passed all earlier limits, maybe none, and of wrongly
    named ones where a name matters."""

    limit: Limit
    pictures: Values
    wrong: Values

    def beyond(self, values: Values) -> float:
        """The share of ``values`` outside the limit; missing for none."""
        frame = pd.DataFrame({self.limit.column: values})
        return float(self.limit.broken(frame).mean()) if values.size else np.nan

    def cutting(self, share: float) -> tuple[float | None, float | None]:
        """The limit's bounds, moved so that each cuts ``share`` of the pictures; none for none."""
        if not self.pictures.size:
            return None, None
        low, high = np.quantile(self.pictures, [share, 1 - share])
        return (
            None if self.limit.low is None else float(low),
            None if self.limit.high is None else float(high),
        )


def distributions(
    params: config.Params, dataset: Path = DATASET, imagined: Path = IMAGINED
) -> list[Distribution]:
    """One for each limit whose bounds are in params.yaml."""
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    known = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    meter = Meter(params.encoders, known["category"].unique().tolist())
    found = meter.measure([imagined / p for p in frame["path"]], frame.assign(attempt=0))
    rows = judge(found, params.validation, params.generator.size)
    wrong = wrongly_named(found, rows, meter)
    tunable = ("contrast", "sharpness", "agreement", "difference", "siblings")
    return [
        Distribution(
            limit,
            rows[limit.column].dropna().to_numpy(dtype=np.float64),
            wrong.get(limit.column, _NOTHING),
        )
        for limit in limits(params.validation, params.generator.size)
        if limit.column in tunable
    ]


def wrongly_named(measured: Measured, rows: pd.DataFrame, meter: Meter) -> dict[str, Values]:
    """``agreement`` and ``siblings`` of the pictures that decode, each under the name of another
    category; ``rows`` are the judged ones. Seeded: equal pictures give equal values."""
    fine = rows["decodes"].to_numpy(dtype=bool)
    count = len(meter.categories)
    own = meter.categories.get_indexer(pd.Index(rows["category"]))
    other = (own + np.random.default_rng(0).integers(1, count, size=len(own))) % count
    lead, _ = agreement(measured.clip[fine], meter.text, other[fine])
    means = np.zeros((count, measured.vision.shape[1]))
    good = (rows["reason"] == "").to_numpy()
    np.add.at(means, own[good], measured.vision[good])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    near = (measured.vision * means[other]).sum(axis=1)[fine]
    return {"agreement": lead.astype(np.float64), "siblings": near}


def plot(found: list[Distribution], path: Path) -> None:
    """A histogram for each limit; dashed lines are the bounds, what lies beyond is rejected."""
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, item in zip(panels, found, strict=False):
        both = np.concatenate([item.pictures, item.wrong])
        bins = np.linspace(both.min(initial=0), both.max(initial=0), 60)
        axes.hist(item.pictures, bins, color=_PICTURES, label="as imagined")
        if item.wrong.size:
            axes.hist(item.wrong, bins, color=_WRONG, alpha=0.7, label="wrongly named")
        for bound in (item.limit.low, item.limit.high):
            if bound is not None and bound <= bins[-1] * 1.5:
                axes.axvline(bound, color="black", linestyle="--", linewidth=1)
        axes.set(title=item.limit.column, xlabel=f"beyond: {item.limit.reason}", yscale="log")
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    handles, labels = panels[2].get_legend_handles_labels()
    panels[-1].legend(handles, labels, frameon=False, loc="center")
    figure.suptitle("What the limits of params.yaml cut (pictures, logarithmic)", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    figure.savefig(aside, dpi=130, format="png", metadata={"Software": None})
    aside.replace(path)
