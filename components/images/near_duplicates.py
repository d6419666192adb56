"""How much two pictures differ beyond what copying does to a picture.

A copy is compressed, scaled, moved by a little, brighter or of less contrast. To first order each
of these adds a multiple of one *tangent* to the picture: its derivative by that change. The
distance is the *tangent distance* of Simard, LeCun and Denker (Efficient Pattern Recognition Using
a New Transformation Distance, NeurIPS 1992): what is left of the difference once the tangents have
explained what they can, each within the amount that copies show.

What is left is measured against the picture's own detail, its typical gradient. A picture on a
plain ground has little detail, so that a stripe tells two shirts apart; clutter has much, and
forgives what a codec does to it. A global measure of contrast would not do: on a white ground the
outline makes nearly all of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
"""Cells of the brightness grid on a side."""

_COARSE = SIDE // 4  # cells of a colour grid, since codecs and eyes alike are coarse in colour
_PLANE = SIDE * SIDE
_CELLS = _PLANE + 2 * _COARSE**2

SKETCH = np.dtype([("size", "<u4", 2), ("coarse", "u1", _COARSE**2), ("cells", "u1", _CELLS)])
"""What of a picture is compared: its width and height in pixels, its brightness in cells of a
coarse grid, and its brightness and two colour differences in cells of a grid."""

Sketches = npt.NDArray[np.void]
Vector = npt.NDArray[np.float32]

_SMOOTH = 1.2  # standard deviation, in cells: displacements by a cell stay linear
_SMOOTH_COLOUR = 1.0  # in cells of colour
_CHROMA = 0.886  # the largest value of blue less brightness
_WEIGHT = 0.7 * 4  # of a colour cell, which stands for 4x4 cells
_FAINT = 0.01  # gradient of a picture without detail, so that its noise is forgiven
_SMALL = 2.0  # how much more the copies of pictures of SIDE pixels differ than those of large ones
_SHIFT, _ZOOM = 2.0, 2.0  # cells, by which a copy may be moved; at the edge, when it is cropped
_CONTRAST, _LIGHT, _GAMMA, _BLUR = 1.0, 1.0, 1.0, 1.0  # how much of the other tangents
_CHUNK = 1024

FAR = 4.0
"""Limits, beyond which distances are told roughly, since no zoom by a cell makes a copy then."""


def sketch(image: Image.Image) -> np.void:
    """``image``, as :func:`distances` compares it; of the type :data:`SKETCH`."""
    return _sketch(_double(image), image.size)


def zooms(image: Image.Image) -> Sketches:
    """(2,): the picture with a cell cut from each edge, and with one put there: the derivative
    alone cannot follow fine lines over a whole cell."""
    double = _double(image)
    inner = double.crop((2, 2, 2 * SIDE - 2, 2 * SIDE - 2))
    outer = Image.fromarray(np.pad(np.asarray(double), ((2, 2), (2, 2), (0, 0)), mode="edge"))
    views = (_double(inner), _double(outer))
    return np.array([_sketch(view, image.size) for view in views], dtype=SKETCH)


def detail(sketches: Sketches) -> Vector:
    """(N,): the typical change of each of N sketches from cell to cell: the square of the mean root
    of the gradient, so that few strong edges count little."""
    light, colour = _grids(_vectors(sketches["cells"]))
    down, right = _slopes(light, 1)
    square = down**2 + right**2
    down, right = _slopes(colour, 4)
    coarse = (down**2 + right**2).sum(axis=-3) / np.float32(16)
    square += np.repeat(np.repeat(coarse, 4, axis=-2), 4, axis=-1)
    typical = (square**0.25).mean(axis=(-2, -1)) ** 4
    return np.sqrt(typical + np.float32(_FAINT**2)).astype(np.float32)


def distances(
    one: np.void, others: Sketches, rows: npt.NDArray[np.intp], details: Vector, limit: float
) -> Vector:
    """(N,): how far each of the N ``rows`` of ``others``, which have these :func:`detail`, is from
    ``one``, in units of ``limit``: at most 1 for a copy.

    The square is the smallest, over amounts a of the tangents T, of |d - T a|^2 / s^2 + |a|^2,
    where d is the difference and s is ``limit`` times the lesser detail of the two, in all cells: a
    copy needs no more than the amounts that T is scaled to, and leaves no more than s. ``limit`` is
    up to three times as large for a picture of few pixels, where none average out what a codec did.
    What is beyond :data:`FAR` on the coarse grid alone, where a distance is never larger, is left
    at that.
    """
    centre = _vectors(one["cells"])
    tangents = _tangents(centre)
    pixels = np.minimum(others["size"][rows].min(axis=-1), one["size"].min())
    few = np.minimum(SIDE / np.maximum(pixels, 1), 1)
    least = np.minimum(details, detail(np.array([one], dtype=SKETCH)))
    allowed = np.square(limit * (1 + _SMALL * few) * least).astype(np.float32) * _PLANE
    apart = (others["coarse"][rows].astype(np.float32) - one["coarse"]) * np.float32(4 / 255)
    found = _explained(apart, _blocks(tangents[:_PLANE].T).reshape(-1, _COARSE**2).T * 4, allowed)
    for start in range(0, len(near := np.flatnonzero(found <= FAR)), _CHUNK):
        part = near[start : start + _CHUNK]
        apart = _vectors(others["cells"][rows[part]]) - centre
        found[part] = _explained(apart, tangents, allowed[part])
    return found


def _explained(apart: Vector, tangents: Vector, allowed: Vector) -> Vector:
    """(N,): the distances of N pictures whose differences are ``apart`` (N, cells)."""
    squares, axes = np.linalg.eigh(tangents.T @ tangents)
    along = (apart @ (tangents @ axes)) ** 2 / (squares + allowed[:, None])
    left = np.einsum("ij,ij->i", apart, apart) - along.sum(axis=1)
    return np.sqrt(np.maximum(left, 0) / allowed)


def _blocks(light: Vector) -> Vector:
    """(..., SIDE / 4, SIDE / 4): means over 4x4 cells of (..., SIDE * SIDE)."""
    shape = light.shape[:-1]
    return light.reshape(*shape, _COARSE, 4, _COARSE, 4).mean((-3, -1))


def _double(image: Image.Image) -> Image.Image:
    """Twice the grid, so that a picture of fewer pixels than cells and its enlarged copy agree."""
    size = 2 * SIDE, 2 * SIDE
    return image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _sketch(double: Image.Image, size: tuple[int, int]) -> np.void:
    rgb = np.asarray(double.reduce(2), dtype=np.float32) / 255
    light = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    colour = (rgb[..., [0, 2]] - light[..., None]).reshape(_COARSE, 4, _COARSE, 4, 2).mean((1, 3))
    smooth = _BLURRED @ light @ _BLURRED.T
    colour = _BLURRED_COLOUR @ colour.transpose(2, 0, 1) @ _BLURRED_COLOUR.T
    cells = np.concatenate([255 * smooth.ravel(), 128 + np.float32(127 / _CHROMA) * colour.ravel()])
    coarse = 255 * _blocks(smooth.astype(np.float32).ravel()).ravel()
    return np.array([(size, np.rint(coarse), np.rint(cells))], dtype=SKETCH)[0]


def _vectors(cells: npt.NDArray[np.uint8]) -> Vector:
    """(..., cells): numbers whose Euclidean distance weighs brightness and colour."""
    values = cells.astype(np.float32)
    values[..., :_PLANE] *= np.float32(1 / 255)
    values[..., _PLANE:] -= np.float32(128)
    values[..., _PLANE:] *= np.float32(_WEIGHT * _CHROMA / 127)
    return values


def _grids(values: Vector) -> tuple[Vector, Vector]:
    """The brightness grid (..., SIDE, SIDE) and the colour grids (..., 2, SIDE / 4, SIDE / 4)."""
    shape = values.shape[:-1]
    return (
        values[..., :_PLANE].reshape(*shape, SIDE, SIDE),
        values[..., _PLANE:].reshape(*shape, 2, _COARSE, _COARSE),
    )


def _tangents(values: Vector) -> Vector:
    """(cells, 10): what the largest change that a copy shows adds to a picture, of each kind: moved
    and zoomed along both axes, lighter, of more contrast, of other curves of tone and of colour,
    blurred."""
    light, colour = _grids(values)
    down, right = _slopes(light, 1)
    colour_down, colour_right = _slopes(colour, 4)
    blurred = _slopes(down, 1)[0] + _slopes(right, 1)[1]
    coarse = _blocks(light.reshape(-1))
    still, still_colour = np.zeros_like(light), np.zeros_like(colour)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    across_colour = np.linspace(-1, 1, _COARSE, dtype=np.float32)
    kinds = [
        (_SHIFT * right, _SHIFT * colour_right),
        (_SHIFT * down, _SHIFT * colour_down),
        (_ZOOM * across * right, _ZOOM * across_colour * colour_right),
        (_ZOOM * across[:, None] * down, _ZOOM * across_colour[:, None] * colour_down),
        (np.full_like(light, _LIGHT), still_colour),
        (_CONTRAST * (light - light.mean()), _CONTRAST * colour),
        (_GAMMA * light * (1 - light), still_colour),
        (_GAMMA * light * (1 - light) * (1 - 2 * light), still_colour),
        (still, _GAMMA * colour * (1 - coarse)),
        (_BLUR * blurred, still_colour),
    ]
    return np.stack([np.concatenate([a.ravel(), b.ravel()]) for a, b in kinds], axis=1)


def _slopes(grid: Vector, cells: int) -> tuple[Vector, Vector]:
    """The change downwards and to the right, for each cell of the brightness grid."""
    down, right = np.empty_like(grid), np.empty_like(grid)
    for slope, values in ((down, grid), (right.swapaxes(-1, -2), grid.swapaxes(-1, -2))):
        slope[..., 1:-1, :] = (values[..., 2:, :] - values[..., :-2, :]) / (2 * cells)
        slope[..., 0, :] = (values[..., 1, :] - values[..., 0, :]) / cells
        slope[..., -1, :] = (values[..., -1, :] - values[..., -2, :]) / cells
    return down, right


def _smoothing(count: int, cells: float) -> Vector:
    """(count, count): the matrix that smooths a line by a Gaussian; a plain line stays as it is."""
    far = np.arange(count)[:, None] - np.arange(count)
    weights = np.exp(-(far**2) / (2 * cells**2))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_BLURRED = _smoothing(SIDE, _SMOOTH)
_BLURRED_COLOUR = _smoothing(_COARSE, _SMOOTH_COLOUR)
