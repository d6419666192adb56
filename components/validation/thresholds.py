"""`eidolon thresholds`: shows the distributions that the limits cut, to set the limits from data.

It compares the measured pictures with wrong ones, which a limit must separate from them: pictures
under the name of a random other category, blank pictures, noise, and lossy copies.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from components import config, manifest
from components.files import file_aside
from components.images.decoding import decode
from components.images.encoding import encode
from components.images.hashing import thumbnail
from components.paths import DATASET, IMAGINED
from components.validation import inspection
from components.validation.judge import asked, diversity, judge, limits
from components.validation.likeness import Likeness, view_distances
from components.validation.limit import Limit
from components.validation.measure import Measured, Meter, clip_margin
from components.vectors import normalized

Values = npt.NDArray[np.float64]

_PICTURES, _WRONG = "#2c6e8f", "#d98f2b"
_DIGITS = 4  # significant digits of a proposed bound
_PLANTED = 200  # wrong pictures of each kind


@dataclass(frozen=True)
class Distribution:
    """The values that a limit cuts, and the values of wrong pictures.

    ``pictures`` are the values of the pictures that passed all earlier limits, or of the
    categories. They may be empty.
    """

    limit: Limit
    pictures: Values
    wrong: Values

    def beyond(self, values: Values) -> float:
        """The share of ``values`` outside the limit; NaN if there are no values."""
        frame = pd.DataFrame({self.limit.column: values})
        return float(self.limit.broken(frame).mean()) if values.size else np.nan

    def cutting(self, share: float) -> tuple[float | None, float | None]:
        """The limit's bounds, moved so that each rejects at most ``share`` of the pictures.

        They have four significant digits, and are rounded so that they do not reject more. A bound
        that the limit lacks is None, and so are both if there are no pictures.
        """
        if not self.pictures.size:
            return None, None
        low = np.quantile(self.pictures, share, method="lower")
        high = np.quantile(self.pictures, 1 - share, method="higher")
        return (
            None if self.limit.low is None else _rounded(float(low), ROUND_FLOOR),
            None if self.limit.high is None else _rounded(float(high), ROUND_CEILING),
        )


def _rounded(value: float, how: str) -> float:
    return float(Context(prec=_DIGITS, rounding=how).create_decimal(value))


def distributions(
    params: config.Params, dataset: Path = DATASET, imagined: Path = IMAGINED
) -> list[Distribution]:
    """The distribution for each limit whose bounds are in params.yaml.

    Raises :class:`EidolonError` when a manifest is missing or damaged.
    """
    frame = manifest.read(imagined, manifest.IMAGINED_COLUMNS, "dvc repro generate")
    known = manifest.read(dataset, manifest.DATASET_COLUMNS, "dvc repro dataset")
    meter = Meter(params.encoders, known["category"].unique().tolist())
    found = meter.measure([imagined / p for p in frame["path"]], frame.assign(attempt=0))
    rows = judge(found, params.validation, params.generator.size, Likeness())
    wrong = wrongly_named(found, rows, meter) | planted(found, rows, meter)
    tunable = ("contrast", "sharpness", "clip_margin", "view_distance", "category_similarity")
    checks = [
        limit
        for limit in limits(params.validation, params.generator.size)
        if limit.column in tunable
    ]
    checks.append(Limit("diversity", params.validation.min_diversity, None, "are all alike"))
    tables = {"diversity": diversity(asked(meter.categories.tolist(), rows), rows, found)}
    of_imagined = [
        Distribution(limit, _values(tables.get(limit.column, rows), limit), wrong[limit.column])
        for limit in checks
    ]
    seen = inspection.measure(dataset, known, params.inspect, everywhere=True)
    copies = lossy_copies([dataset / path for path in _some(known)["path"]])
    return of_imagined + [
        Distribution(limit, _values(seen, limit), copies)
        for limit in inspection.of_a_picture(params.inspect)
        if limit.column in ("label", "leak", "copy")
    ]


def _values(rows: pd.DataFrame, limit: Limit) -> Values:
    return rows[limit.column].dropna().to_numpy(dtype=np.float64)


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    """About 200 evenly spaced rows, from whose pictures the wrong ones are made."""
    return rows.iloc[:: max(1, len(rows) // _PLANTED)]


def wrongly_named(measured: Measured, rows: pd.DataFrame, meter: Meter) -> dict[str, Values]:
    """``clip_margin`` and ``category_similarity`` of pictures under a wrong category's name.

    Each picture that decodes gets a random other category. ``rows`` are the judged rows of
    ``measured``. The choice is seeded, so equal pictures give equal values.
    """
    fine = rows["decodes"].to_numpy(dtype=bool)
    count = len(meter.categories)
    own = meter.categories.get_indexer(pd.Index(rows["category"]))
    other = (own + np.random.default_rng(0).integers(1, count, size=len(own))) % count
    margin, _ = clip_margin(measured.clip[fine], meter.text, other[fine])
    means = np.zeros((count, measured.vision.shape[1]))
    good = (rows["reason"] == "").to_numpy()
    np.add.at(means, own[good], measured.vision[good])
    near = (measured.vision * normalized(means)[other]).sum(axis=1)[fine]
    return {"clip_margin": margin.astype(np.float64), "category_similarity": near}


def planted(measured: Measured, rows: pd.DataFrame, meter: Meter) -> dict[str, Values]:
    """The values of wrong pictures that are made for each measure. Seeded.

    These are ``contrast`` of blank pictures with a camera's noise, ``sharpness`` of noise,
    ``view_distance`` of lossy copies, and ``diversity`` of a picture and its noisy copy.
    """
    rng = np.random.default_rng(0)
    some = _some(rows[rows["decodes"]])
    at = some.index.to_numpy()
    with tempfile.TemporaryDirectory() as place:
        files: dict[str, list[Path]] = {}
        for i in at:
            image = decode(measured.files[i])
            shape = (image.height, image.width, 3)
            wrong = {
                "blank": rng.uniform(20, 235, size=3) + rng.normal(0, 2, shape),
                "noise": rng.uniform(0, 255, shape),
                "lossy": np.asarray(_lossy(image)),
                "noisy": np.asarray(image) + rng.normal(0, 2, shape),
            }
            for kind, values in wrong.items():
                file = Path(place) / f"{kind}-{i}.png"
                Image.fromarray(np.uint8(np.clip(values, 0, 255))).save(file)
                files.setdefault(kind, []).append(file)
        frame = some[[*manifest.ACCEPTED_COLUMNS]]
        blank, noise, lossy, noisy = (meter.measure(found, frame) for found in files.values())
    views, vision = measured.views[at], measured.vision[at]
    far = [view_distances(a[None], b[None])[0, 0] for a, b in zip(lossy.views, views, strict=True)]
    return {
        "contrast": blank.rows["contrast"].to_numpy(dtype=np.float64),
        "sharpness": noise.rows["sharpness"].to_numpy(dtype=np.float64),
        "view_distance": np.array(far, dtype=np.float64),
        "diversity": 1 - (noisy.vision * vision).sum(axis=1).astype(np.float64),
    }


def lossy_copies(files: Sequence[Path]) -> Values:
    """The colour difference at 8x8 pixels between each picture and its lossy copy.

    Raises :class:`EidolonError` for a picture that cannot be read.
    """
    images = [decode(file) for file in files]
    pairs = [(thumbnail(image), thumbnail(_lossy(image))) for image in images]
    return np.array([np.sqrt(((one - other) ** 2).mean()) for one, other in pairs])


def _lossy(image: Image.Image) -> Image.Image:
    return decode(encode(image, "JPEG", quality=60))


def plot(found: list[Distribution], path: Path) -> None:
    """Draw a histogram for each limit. Dashed lines are the bounds; values beyond are rejected."""
    figure = Figure(figsize=(9, 7.6), layout="constrained")
    panels = figure.subplots(-(-len(found) // 3), 3, squeeze=False).ravel()
    for axes, item in zip(panels, found, strict=False):
        bounds = [bound for bound in (item.limit.low, item.limit.high) if bound is not None]
        everything = np.concatenate([item.pictures, item.wrong, bounds])
        bins = np.linspace(everything.min(initial=0), everything.max(initial=0) * 1.02, 60)
        axes.hist(item.pictures, bins, color=_PICTURES, label="pictures as they are")
        axes.hist(item.wrong, bins, color=_WRONG, alpha=0.7, label="wrong pictures")
        for bound in bounds:
            axes.axvline(bound, color="black", linestyle="--", linewidth=1)
        axes.set(title=item.limit.column, xlabel=f"beyond: {item.limit.reason}", yscale="log")
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=2)
    figure.suptitle("What the limits of params.yaml reject (counts, log scale)", fontsize=11)
    with file_aside(path) as aside:
        figure.savefig(aside, dpi=130, format="png", metadata={"Software": None})
