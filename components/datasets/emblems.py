"""The embedded dataset: a small world of coloured, patterned shapes, drawn by code.

A bare machine has no pre-trained weights and no benchmark downloads. So the repository carries a
world that needs neither. It keeps what makes category-level retrieval hard: many categories that
differ in one attribute only, clutter, shading, rotation, blur, noise, and combinations of
attributes that no model was trained on.

A picture is a pure function of ``(seed, emblem, subset, index, style)``.
"""

from __future__ import annotations

import colorsys
import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from components.code_versions import code, libraries
from components.datasets import outlines
from components.datasets.adapter import Category, Drawing, Split

Style = Literal["photo", "studio"]

SIZE = 32
"""Side of a picture in pixels."""

_CANVAS = 2 * SIZE  # drawn at twice the size, then reduced: cheap antialiasing

# the mean hue, saturation and value of each colour, in [0, 1]; each picture varies them
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.995, 0.85, 0.80),
    "orange": (0.075, 0.90, 0.92),
    "yellow": (0.150, 0.85, 0.92),
    "green": (0.345, 0.75, 0.62),
    "teal": (0.485, 0.80, 0.70),
    "blue": (0.610, 0.80, 0.80),
    "purple": (0.765, 0.65, 0.65),
    "pink": (0.910, 0.50, 0.93),
}
PATTERNS = ("plain", "striped", "dotted", "checked")
SHAPES = tuple(outlines.OUTLINES)

_SPLIT_SEED = 20250917  # the split is part of the dataset's definition, not a parameter
_VALIDATION, _UNSEEN = 40, 80


@dataclass(frozen=True, order=True)
class Emblem:
    """One combination of attributes: a category of the embedded dataset."""

    colour: str
    pattern: str
    shape: str

    @property
    def name(self) -> str:
        """The category's name, as a person would type it: ``"red striped star"``."""
        return f"{self.colour} {self.pattern} {self.shape}"

    @classmethod
    def parse(cls, name: str) -> Emblem:
        """The emblem with this :attr:`name`. Raises ``ValueError`` if there is none."""
        match name.split():
            case [colour, pattern, shape] if (
                colour in COLOURS and pattern in PATTERNS and shape in SHAPES
            ):
                return cls(colour, pattern, shape)
        raise ValueError(f"no emblem is called {name!r}")


def emblems() -> list[Emblem]:
    """All 320 emblems, in the fixed order of the attributes."""
    return [Emblem(*parts) for parts in itertools.product(COLOURS, PATTERNS, SHAPES)]


def splits() -> dict[Emblem, Split]:
    """The split of each emblem: 200 train, 40 validation, 80 unseen.

    No model is trained on validation and unseen emblems, encoders and generator included. So
    metrics on them measure generalisation to new combinations of attributes.
    """
    shuffled = emblems()
    np.random.default_rng(_SPLIT_SEED).shuffle(shuffled)
    held_out = _VALIDATION + _UNSEEN
    split: dict[Emblem, Split] = {
        emblem: "unseen" if i < _UNSEEN else "validation" if i < held_out else "train"
        for i, emblem in enumerate(shuffled)
    }
    return {emblem: split[emblem] for emblem in emblems()}


def categories(seed: int, gallery: int, training: int) -> list[Category]:
    """Every emblem as a category, with ``gallery`` and ``training`` photos each.

    Unseen emblems have no training photos.
    """

    made_by = f"{code(__name__, outlines.__name__)}, {libraries('numpy', 'pillow')}"

    def photos(emblem: Emblem, subset: str, count: int) -> list[Drawing]:
        return [
            Drawing(
                f"{made_by}/{seed}/{subset}/{emblem.name}/{i}",
                partial(draw, emblem, seed=seed, subset=subset, index=i),
            )
            for i in range(count)
        ]

    return [
        Category(
            name=emblem.name,
            split=split,
            gallery=photos(emblem, "gallery", gallery),
            training=[] if split == "unseen" else photos(emblem, "training", training),
        )
        for emblem, split in splits().items()
    ]


def draw(
    emblem: Emblem, *, seed: int, subset: str, index: int, style: Style = "photo"
) -> Image.Image:
    """Draw one 32x32 RGB picture of ``emblem``.

    ``subset`` names an independent stream of pictures (gallery, training, zoo). A ``photo`` has
    clutter, an off-centre object and camera noise. A ``studio`` picture shows the object large on a
    plain ground, like the web pictures that generators learn from.
    """
    key = f"{seed}/{subset}/{style}/{emblem.name}/{index}".encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
    photo = style == "photo"

    canvas = _background(rng, cluttered=photo)
    radius = rng.uniform(0.28, 0.42) if photo else rng.uniform(0.37, 0.43)
    slack = 0.5 - radius if photo else 0.03
    cx, cy = 0.5 + rng.uniform(-slack, slack, size=2)
    angle = rng.normal(0, math.radians(14 if photo else 5))

    mask = _mask(emblem.shape, cx, cy, radius, angle)
    paint = _paint(rng, emblem, cx, cy, radius, angle)
    canvas = np.where(mask[..., None] > 0, paint, canvas)
    if photo:
        canvas = _occlude(rng, canvas)

    small = Image.fromarray(np.uint8(np.clip(canvas, 0, 1) * 255)).reduce(2)
    if not photo:
        return small
    small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.0, 0.7)))
    pixels = np.asarray(small, dtype=np.float32) / 255
    pixels = (pixels - 0.5) * rng.uniform(0.75, 1.1) + 0.5 + rng.uniform(-0.08, 0.08)
    pixels += rng.normal(0, rng.uniform(0.01, 0.05), size=pixels.shape)
    return Image.fromarray(np.uint8(np.clip(pixels, 0, 1) * 255))


def _hsv(h: float, s: float, v: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(h % 1.0, min(max(s, 0), 1), min(max(v, 0), 1)))


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """x and y of each pixel of the canvas, in [0, 1]."""
    axis = (np.arange(_CANVAS) + 0.5) / _CANVAS
    return np.meshgrid(axis, axis)


_X, _Y = _grid()


def _background(rng: np.random.Generator, *, cluttered: bool) -> np.ndarray:
    """A gradient between two muted colours, with a few pieces of clutter for photos."""
    top, bottom = (
        _hsv(rng.uniform(), rng.uniform(0, 0.4), rng.uniform(0.25, 0.9))
        if cluttered
        else _hsv(rng.uniform(), rng.uniform(0, 0.1), rng.uniform(0.5, 0.8))
        for _ in range(2)
    )
    theta = rng.uniform(0, 2 * math.pi)
    ramp = np.clip(0.5 + (_X - 0.5) * math.cos(theta) + (_Y - 0.5) * math.sin(theta), 0, 1)
    ground = top + (bottom - top) * ramp[..., None]
    return _pieces(rng, ground, count=int(rng.integers(3, 8))) if cluttered else ground


def _occlude(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """In two of five photos, one piece of clutter in front of the object."""
    return _pieces(rng, canvas, count=1) if rng.uniform() < 0.4 else canvas


def _pieces(rng: np.random.Generator, canvas: np.ndarray, *, count: int) -> np.ndarray:
    """``canvas`` with ``count`` random ellipses, rectangles and lines drawn on it."""
    image = Image.fromarray(np.uint8(canvas * 255))
    pen = ImageDraw.Draw(image)
    for _ in range(count):
        hsv = rng.uniform(), rng.uniform(0.1, 0.9), rng.uniform(0.3, 0.9)
        r, g, b = (int(255 * channel) for channel in _hsv(*hsv))
        colour = (r, g, b)
        x, y = rng.uniform(0, _CANVAS, size=2)
        w, h = rng.uniform(3, 14, size=2)
        kind = rng.integers(3)
        if kind == 0:
            pen.ellipse((x - w, y - h, x + w, y + h), fill=colour)
        elif kind == 1:
            pen.rectangle((x - w, y - h, x + w, y + h), fill=colour)
        else:
            dx, dy = rng.uniform(-30, 30, size=2)
            pen.line((x, y, x + dx, y + dy), fill=colour, width=int(rng.integers(1, 5)))
    return np.asarray(image, dtype=np.float64) / 255


def _paint(
    rng: np.random.Generator, emblem: Emblem, cx: float, cy: float, radius: float, angle: float
) -> np.ndarray:
    """(canvas, canvas, 3): the object's colour and pattern, lit from one side."""
    h, s, v = COLOURS[emblem.colour]
    main = _hsv(h + rng.normal(0, 0.009), s + rng.normal(0, 0.05), v + rng.normal(0, 0.05))
    second = _hsv(h, rng.uniform(0, 0.1), rng.uniform(0.9, 1.0) if rng.uniform() < 0.7 else 0.12)
    u = ((_X - cx) * math.cos(angle) + (_Y - cy) * math.sin(angle)) / radius
    w = ((_Y - cy) * math.cos(angle) - (_X - cx) * math.sin(angle)) / radius
    pu, pw = rng.uniform(0, 1, size=2)
    f = rng.uniform(1.5, 1.9)  # periods per radius: three to four over the object
    match emblem.pattern:
        case "plain":
            ink = np.zeros_like(u)
        case "striped":
            tilt = u * 0.82 + w * 0.57
            ink = (np.mod(tilt * f + pu, 1) < 0.42) * 1.0
        case "dotted":
            du, dw = np.mod(u * f + pu, 1) - 0.5, np.mod(w * f + pw, 1) - 0.5
            ink = (du**2 + dw**2 < 0.28**2) * 1.0
        case "checked":
            f *= 0.8
            ink = np.logical_xor(np.mod(u * f + pu, 1) < 0.5, np.mod(w * f + pw, 1) < 0.5) * 1.0
        case other:
            raise ValueError(f"unknown pattern {other!r}")
    surface = main + (second - main) * ink[..., None]
    theta = rng.uniform(0, 2 * math.pi)
    light = 1 + rng.uniform(0, 0.28) * (u * math.cos(theta) + w * math.sin(theta))
    return surface * light[..., None]


def _mask(shape: str, cx: float, cy: float, radius: float, angle: float) -> np.ndarray:
    """(canvas, canvas): above 0 where the object is."""
    image = Image.new("L", (_CANVAS, _CANVAS))
    pen = ImageDraw.Draw(image)
    outline, *holes = outlines.OUTLINES[shape]()
    for points, fill in [(outline, 255), *((hole, 0) for hole in holes)]:
        rotated = [
            (
                (cx + radius * (x * math.cos(angle) - y * math.sin(angle))) * _CANVAS,
                (cy + radius * (x * math.sin(angle) + y * math.cos(angle))) * _CANVAS,
            )
            for x, y in points
        ]
        pen.polygon(rotated, fill=fill)
    return np.asarray(image)
