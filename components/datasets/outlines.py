"""The outlines of the embedded dataset's shapes, which :mod:`components.datasets.emblems` draws."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Polygon = list[tuple[float, float]]
"""Corners in units of the radius, y down."""


def _round(r: float, ox: float = 0.0, oy: float = 0.0) -> Polygon:
    turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    return [(ox + r * math.cos(t), oy + r * math.sin(t)) for t in turns]


def _star() -> Polygon:
    return [
        (math.sin(k * math.pi / 5) * r, -math.cos(k * math.pi / 5) * r)
        for k in range(10)
        for r in [1.08 if k % 2 == 0 else 0.45]
    ]


def _heart() -> Polygon:
    def height(t: float) -> float:
        return 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)

    turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    return [(math.sin(t) ** 3, -height(t) / 16) for t in turns]


def _cross() -> Polygon:
    a, b = 0.34, 1.0
    arm = [(-a, -b), (a, -b), (a, -a)]
    right = [(b, -a), (b, a), (a, a)]
    below = [(a, b), (-a, b), (-a, a)]
    left = [(-b, a), (-b, -a), (-a, -a)]
    return [*arm, *right, *below, *left]


def _arrow() -> Polygon:
    head = [(0.05, -0.9), (1.0, 0.0), (0.05, 0.9)]
    return [(-1.0, -0.32), (0.05, -0.32), *head, (0.05, 0.32), (-1.0, 0.32)]


def _bolt() -> Polygon:
    down = [(0.3, -1.05), (-0.72, 0.2), (-0.1, 0.2), (-0.38, 1.05)]
    up = [(0.72, -0.28), (0.08, -0.28), (0.62, -1.05)]
    return [*down, *up]


OUTLINES: dict[str, Callable[[], list[Polygon]]] = {
    "circle": lambda: [_round(0.92)],
    "square": lambda: [[(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)]],
    "triangle": lambda: [[(0, -1.0), (0.98, 0.78), (-0.98, 0.78)]],
    "star": lambda: [_star()],
    "heart": lambda: [_heart()],
    "cross": lambda: [_cross()],
    "ring": lambda: [_round(1.0), _round(0.5)],
    "crescent": lambda: [_round(1.0), _round(0.82, ox=0.5, oy=-0.12)],
    "arrow": lambda: [_arrow()],
    "bolt": lambda: [_bolt()],
}
"""The polygons of each shape: its outline, then its holes."""
