"""The near-duplicate distance: how much two pictures differ beyond what copying changes.

A copy may be compressed, scaled, slightly shifted, brighter or lower in contrast. To first order,
each such change adds a multiple of one *tangent* to the picture: its derivative with respect to the
change. The distance is the *tangent distance* of Simard, LeCun and Denker (Efficient Pattern
Recognition Using a New Transformation Distance, NeurIPS 1992). It is the part of the difference
that the tangents cannot explain, when each is limited to the amounts seen in copies.

That part is relative to the picture's own detail, its typical gradient. A picture on a plain ground
has little detail, so a stripe is enough to distinguish two shirts. A cluttered picture has much
detail, so the errors of a codec count little. Global contrast would be a poor measure of detail: on
a white ground it comes almost only from the object's outline.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 32
"""Cells along each side of the brightness grid."""

_COARSE = SIDE // 4  # cells along a side of a colour grid: codecs and eyes see colour coarsely
_PLANE = SIDE * SIDE
_CELLS = _PLANE + 2 * _COARSE**2

SKETCH = np.dtype([("size", "<u4", 2), ("coarse", "u1", _COARSE**2), ("cells", "u1", _CELLS)])
"""What is compared of a picture. ``size``: width and height in pixels. ``coarse``: brightness on a
coarse grid. ``cells``: brightness on the fine grid, then two colour differences on coarse grids."""

Sketches = npt.NDArray[np.void]
Vector = npt.NDArray[np.float32]

_SMOOTH = 1.2  # standard deviation in cells, so that shifts by a cell stay nearly linear
_SMOOTH_COLOUR = 1.0  # the same, in cells of a colour grid
_CHROMA = 0.886  # the largest value of blue minus brightness
_WEIGHT = 0.7 * 4  # weight of a colour cell, which covers 4x4 brightness cells
_FAINT = 0.01  # least detail, so that noise in a blank picture counts little
_SMALL = 2.0  # added share of the limit for pictures of SIDE pixels, whose copies differ more
_SHIFT, _ZOOM = 2.0, 2.0  # cells by which a copy may be shifted; at its edge, by cropping
_CONTRAST, _LIGHT, _GAMMA, _BLUR = 1.0, 1.0, 1.0, 1.0  # largest amounts of the other tangents
_CHUNK = 1024

FAR = 4.0
"""Distances beyond this are approximate. No zoom by a cell brings such a pair within the limit."""


def sketch(image: Image.Image) -> np.void:
    """The :data:`SKETCH` of ``image``, which :func:`distances` compares."""
    return _sketch(_double(image), image.size)


def zooms(image: Image.Image) -> Sketches:
    """(2,): sketches of the picture with one cell cut from each edge, and with one added.

    The zoom tangent alone cannot follow fine lines over a whole cell.
    """
    double = _double(image)
    inner = double.crop((2, 2, 2 * SIDE - 2, 2 * SIDE - 2))
    outer = Image.fromarray(np.pad(np.asarray(double), ((2, 2), (2, 2), (0, 0)), mode="edge"))
    views = (_double(inner), _double(outer))
    return np.array([_sketch(view, image.size) for view in views], dtype=SKETCH)


def detail(sketches: Sketches) -> Vector:
    """(N,): the typical gradient of each of N sketches, per cell.

    It is the square of the mean square root of the gradient, so that a few strong edges count
    little.
    """
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
    """(N,): near-duplicate distances from ``one`` to the N ``rows`` of ``others``.

    The unit is ``limit``: a copy has at most 1. ``details`` (N,) has the rows' :func:`detail`.

    The squared distance is the minimum of |d - T a|^2 / s^2 + |a|^2 over the amounts a of the
    tangents T. Here d is the difference of the two pictures, and s^2 is the square of ``limit``
    times the smaller detail of the two, times the number of brightness cells. T is scaled so that a
    copy needs amounts of at most 1.
    For pictures of few pixels ``limit`` grows up to threefold, because no averaging reduces the
    errors of a codec there.

    A first distance on the coarse grid is never larger than the exact one. If it is beyond
    :data:`FAR`, it is returned instead.
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
    """(N,): the tangent distances of N pictures, whose differences are ``apart`` (N, cells).

    ``allowed`` (N,) are the values of s^2 in :func:`distances`. With the tangents' Gram matrix in
    diagonal form, the best amounts have a closed form.
    """
    squares, axes = np.linalg.eigh(tangents.T @ tangents)
    along = (apart @ (tangents @ axes)) ** 2 / (squares + allowed[:, None])
    left = np.einsum("ij,ij->i", apart, apart) - along.sum(axis=1)
    return np.sqrt(np.maximum(left, 0) / allowed)


def _blocks(light: Vector) -> Vector:
    """(..., SIDE / 4, SIDE / 4): means over 4x4 cells of (..., SIDE * SIDE)."""
    shape = light.shape[:-1]
    return light.reshape(*shape, _COARSE, 4, _COARSE, 4).mean((-3, -1))


def _double(image: Image.Image) -> Image.Image:
    """``image`` at twice the grid's size, so that small pictures match their enlarged copies."""
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
    """(..., cells): values whose Euclidean distance weighs brightness against colour."""
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
    """(cells, 10): the tangents of a picture, each scaled to the largest amount in copies.

    Their order: shift and zoom along both axes, brightness, contrast, two tone curves, a colour
    curve, blur.
    """
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
    """The derivatives downwards and to the right, per cell of the brightness grid.

    A cell of ``grid`` spans ``cells`` of those.
    """
    down, right = np.empty_like(grid), np.empty_like(grid)
    for slope, values in ((down, grid), (right.swapaxes(-1, -2), grid.swapaxes(-1, -2))):
        slope[..., 1:-1, :] = (values[..., 2:, :] - values[..., :-2, :]) / (2 * cells)
        slope[..., 0, :] = (values[..., 1, :] - values[..., 0, :]) / cells
        slope[..., -1, :] = (values[..., -1, :] - values[..., -2, :]) / cells
    return down, right


def _smoothing(count: int, cells: float) -> Vector:
    """(count, count): the matrix that smooths a line with a Gaussian. Its rows add up to 1."""
    far = np.arange(count)[:, None] - np.arange(count)
    weights = np.exp(-(far**2) / (2 * cells**2))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


_BLURRED = _smoothing(SIDE, _SMOOTH)
_BLURRED_COLOUR = _smoothing(_COARSE, _SMOOTH_COLOUR)
