"""What can be measured of a picture without any model: the rows that validation judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from components import pictures
from components.errors import EidolonError
from components.files import sha256
from components.progress import track


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each cell of a 9x8 grid to the next on its right."""
    grid = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grid[:, 1:] > grid[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def sharpness(gray: npt.NDArray[np.float64]) -> float:
    """Variance of the Laplacian of a picture with values in [0, 1]."""
    middle = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float((around - 4 * middle).var())


def measure(folder: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """One row per row of ``frame`` (path, category, sha256), in its order.

    Columns: ``decodes``, ``intact`` (the file's hash is the manifest's), ``width``, ``height``,
    ``std`` (contrast of the gray picture, in [0, 0.5]), ``sharpness``, and ``nearest``: the
    smallest Hamming distance of its difference hash to that of an earlier picture of its category
    (64 when it is the first).
    """
    rows = []
    seen: dict[str, list[int]] = {}
    for record in track(frame.to_dict("records"), "measure", "pictures"):
        path = folder / record["path"]
        row = {"path": record["path"], "category": record["category"]}
        row |= {"decodes": True, "intact": path.is_file() and sha256(path) == record["sha256"]}
        try:
            image = pictures.read(path)
        except EidolonError:
            nothing = {"width": 0, "height": 0, "std": 0.0, "sharpness": 0.0, "nearest": 64}
            rows.append(row | nothing | {"decodes": False})
            continue
        gray = np.asarray(image.convert("L"), dtype=np.float64) / 255
        bits = difference_hash(image)
        before = seen.setdefault(record["category"], [])
        nearest = min(((bits ^ other).bit_count() for other in before), default=64)
        before.append(bits)
        row |= {"width": image.width, "height": image.height, "std": float(gray.std())}
        rows.append(row | {"sharpness": sharpness(gray), "nearest": nearest})
    return pd.DataFrame(rows)
