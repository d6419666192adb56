"""Kinds of generated pictures on which the search for near-duplicates is measured.

The pictures of a kind show different things to a person. They share what can fool a measure: the
plain ground, the outline, the layout. Cluttered kinds are there too, where only outlines tell
pictures apart. Every picture is a pure function of its random generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from components.datasets import emblems

Colour = tuple[int, int, int]
_WORDS = [
    *("the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by"),
    *("picture", "measure", "outline", "however", "under", "several", "between", "another"),
]


def _colour(rng: np.random.Generator, low: int = 20, high: int = 236) -> Colour:
    r, g, b = (int(value) for value in rng.integers(low, high, size=3))
    return r, g, b


def _soft(rng: np.random.Generator, size: tuple[int, int], cells: int) -> npt.NDArray[np.float64]:
    """Smooth noise in [-1, 1]: ``cells`` x ``cells`` random values, enlarged to ``size``."""
    coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)


def garment(rng: np.random.Generator) -> Image.Image:
    """A shirt on white: always one cut, but another cloth, colour, collar and print."""
    side = 224
    near = rng.normal(0, 2.0, size=8)
    body = [
        (78 + near[0], 38), (146 + near[1], 38), (190 + near[2], 78 + near[3]), (164, 104),
        (150, 92), (152 + near[4], 190 + near[5]), (72 + near[6], 190 + near[5]), (74, 92),
        (60, 104), (34 + near[7], 78 + near[3]),
    ]  # fmt: skip
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).polygon(body, fill=255)
    cloth = Image.new("RGB", (side, side), _colour(rng))
    pen, ink = ImageDraw.Draw(cloth), _colour(rng)
    gap = int(rng.integers(8, 30))
    match rng.integers(6):
        case 0:
            for y in range(0, side, gap):
                pen.line((0, y, side, y), fill=ink, width=gap // 3 + 1)
        case 1:
            for x in range(0, side, gap):
                pen.line((x, 0, x, side), fill=ink, width=gap // 3 + 1)
        case 2:
            for y in range(0, side, gap):
                for x in range(0, side, gap):
                    pen.ellipse((x, y, x + gap / 2, y + gap / 2), fill=ink)
        case 3:
            pen.regular_polygon((112, 105, int(rng.integers(12, 30))), int(rng.integers(3, 8)),
                                fill=ink)  # fmt: skip
        case 4:
            pen.text((84, 90), _sentence(rng, 2), fill=ink, font=ImageFont.load_default(20))
        case _:
            pen.rectangle((0, 0, side, int(rng.integers(60, 150))), fill=ink)
    if rng.uniform() < 0.5:
        pen.polygon([(96, 38), (128, 38), (112, 60)], fill=_colour(rng))
    values = (
        np.asarray(cloth, dtype=np.float64) * (1 + 0.12 * _soft(rng, (side, side), 6))[..., None]
    )
    shaded = Image.fromarray(np.uint8(np.clip(values, 0, 255)))
    return Image.composite(shaded, Image.new("RGB", (side, side), "white"), mask)


_DIGITS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0.5, 0.1), (0.2, 0.3), (0.2, 0.7), (0.5, 0.9), (0.8, 0.7), (0.8, 0.3), (0.5, 0.1)),
    ((0.35, 0.25), (0.55, 0.1), (0.5, 0.5), (0.5, 0.9)),
    ((0.25, 0.25), (0.5, 0.1), (0.75, 0.3), (0.5, 0.6), (0.2, 0.9), (0.8, 0.88)),
    ((0.25, 0.15), (0.7, 0.15), (0.5, 0.45), (0.75, 0.7), (0.5, 0.9), (0.22, 0.8)),
    ((0.6, 0.1), (0.2, 0.6), (0.8, 0.6), (0.62, 0.4), (0.62, 0.9)),
    ((0.75, 0.1), (0.3, 0.1), (0.3, 0.45), (0.7, 0.5), (0.7, 0.8), (0.25, 0.9)),
    ((0.65, 0.1), (0.3, 0.45), (0.25, 0.75), (0.5, 0.9), (0.72, 0.7), (0.5, 0.52), (0.3, 0.65)),
    ((0.2, 0.12), (0.8, 0.12), (0.55, 0.5), (0.4, 0.9)),
    ((0.5, 0.5), (0.25, 0.3), (0.5, 0.1), (0.75, 0.3), (0.5, 0.5), (0.25, 0.72), (0.5, 0.9),
     (0.75, 0.72), (0.5, 0.5)),
    ((0.7, 0.35), (0.45, 0.5), (0.3, 0.3), (0.5, 0.1), (0.7, 0.3), (0.6, 0.9)),
)  # fmt: skip


def digit(rng: np.random.Generator) -> Image.Image:
    """A handwritten digit, white on black, 28x28, as in MNIST."""
    points = np.array(_DIGITS[rng.integers(10)]) + rng.normal(0, 0.03, (1, 2))
    points = points + rng.normal(0, 0.035, points.shape)
    points[:, 0] += (points[:, 1] - 0.5) * rng.normal(-0.15, 0.15)  # slant
    points = (points - 0.5) * np.array([rng.uniform(0.6, 1.0), 1.0]) + 0.5
    line = [(float(x) * 80 + 16, float(y) * 80 + 16) for x, y in points]
    canvas = Image.new("L", (112, 112))
    width = int(rng.integers(6, 14))
    pen = ImageDraw.Draw(canvas)
    pen.line(line, fill=255, width=width, joint="curve")
    return canvas.reduce(4).convert("RGB")


def xray(rng: np.random.Generator) -> Image.Image:
    """A chest: a bright body, two dark lungs, ribs and a heart, of another person each time."""
    side = 256
    y, x = np.mgrid[0:side, 0:side] / side - 0.5

    def blob(cx: float, cy: float, w: float, h: float, soft: float) -> npt.NDArray[np.float64]:
        far = np.hypot((x - cx) / w, (y - cy) / h)
        return 1 / (1 + np.exp((far - 1) / soft))

    def around(value: float, by: float = 0.012) -> float:
        return value + float(rng.normal(0, by))

    values = 0.75 * blob(0, around(0.1), around(0.47), around(0.55), 0.06)
    for sign in (-1, 1):
        lung = blob(sign * around(0.2), around(-0.02), around(0.15), around(0.3), 0.08)
        values = values - around(0.45, 0.03) * lung
        slope, gap, phase = around(0.35, 0.06), around(0.085, 0.006), rng.uniform(0, 1)
        ribs = np.cos(2 * math.pi * ((y + sign * slope * x) / gap + phase)) > around(0.55, 0.1)
        values = values + around(0.07) * ribs * lung
    values = values + around(0.35, 0.03) * blob(around(0.07), around(0.15), around(0.12),
                                                around(0.12), 0.12)  # fmt: skip
    values = values + around(0.25, 0.03) * blob(around(0, 0.004), 0, 0.035, 0.6, 0.3)
    values = values + 0.05 * _soft(rng, (side, side), 9) + rng.normal(0, 0.012, (side, side))
    return Image.fromarray(np.uint8(np.clip(values, 0, 1) * 255)).convert("RGB")


def face(rng: np.random.Generator) -> Image.Image:
    """A drawn face: always one outline, but other eyes, brows, mouth, skin and hair."""
    canvas = Image.new("RGB", (192, 192), "white")
    pen = ImageDraw.Draw(canvas)
    tone = rng.uniform(0.35, 1)
    skin = (int(250 * tone), int(205 * tone), int(170 * tone))
    pen.ellipse((40, 20, 152, 176), fill=skin, outline="black", width=2)
    hair = _colour(rng, 10, 160)
    pen.chord((40, 20, 152, 176), 180 + int(rng.integers(0, 30)), 360 - int(rng.integers(0, 30)),
              fill=hair)  # fmt: skip
    eye, size, apart = (
        int(rng.integers(80, 100)),
        int(rng.integers(4, 11)),
        int(rng.integers(18, 30)),
    )
    iris = _colour(rng, 10, 160)
    for sign in (-1, 1):
        cx = 96 + sign * apart
        pen.ellipse((cx - size * 1.5, eye - size, cx + size * 1.5, eye + size), fill="white")
        pen.ellipse(
            (cx - size * 0.7, eye - size * 0.7, cx + size * 0.7, eye + size * 0.7), fill=iris
        )
        lift = int(rng.integers(-5, 6))
        pen.line((cx - 14, eye - 16 + lift * sign, cx + 14, eye - 16 - lift * sign), fill=hair,
                 width=int(rng.integers(2, 6)))  # fmt: skip
    nose = int(rng.integers(5, 13))
    pen.line([(96, 95), (96 + nose, 120), (96, 123)], fill="black", width=2)
    mouth, wide = int(rng.integers(134, 152)), int(rng.integers(12, 32))
    if rng.uniform() < 0.5:
        pen.arc((96 - wide, mouth - 12, 96 + wide, mouth + 8), 10, 170, fill=(150, 30, 30), width=4)
    else:
        pen.ellipse((96 - wide, mouth - 5, 96 + wide, mouth + int(rng.integers(2, 14))),
                    fill=(150, 30, 30))  # fmt: skip
    return canvas


def icon(rng: np.random.Generator) -> Image.Image:
    """A black glyph on a transparent ground, laid on white."""
    side = 64
    glyph = Image.new("RGBA", (side, side))
    pen = ImageDraw.Draw(glyph)
    for _ in range(2):
        x, y = (int(value) for value in rng.integers(16, 49, size=2))
        r, turn = int(rng.integers(6, 16)), int(rng.integers(0, 360))
        match rng.integers(4):
            case 0:
                pen.regular_polygon((x, y, r), int(rng.integers(3, 7)), rotation=turn, fill="black")
            case 1:
                pen.arc((x - r, y - r, x + r, y + r), turn, turn + int(rng.integers(90, 360)),
                        fill="black", width=int(rng.integers(3, 6)))  # fmt: skip
            case 2:
                pen.rectangle((x - r, y - int(rng.integers(3, 16)), x + r, y + 3), fill="black")
            case _:
                points = rng.integers(8, 57, size=(int(rng.integers(3, 5)), 2))
                pen.line([(int(a), int(b)) for a, b in points], fill="black",
                         width=int(rng.integers(3, 8)), joint="curve")  # fmt: skip
    ground = Image.new("RGBA", glyph.size, "white")
    return Image.alpha_composite(ground, glyph).convert("RGB")


def logo(rng: np.random.Generator) -> Image.Image:
    """A coloured mark above a word, on white."""
    canvas = Image.new("RGB", (256, 160), "white")
    pen, ink = ImageDraw.Draw(canvas), _colour(rng, 10, 200)
    pen.regular_polygon((128, 60, int(rng.integers(30, 46))), int(rng.integers(3, 9)),
                        rotation=int(rng.integers(0, 90)), fill=ink)  # fmt: skip
    r = int(rng.integers(8, 24))
    pen.ellipse((128 - r, 60 - r, 128 + r, 60 + r), fill=_colour(rng))
    font = ImageFont.load_default(26)
    pen.text((128, 130), _sentence(rng, 1).upper(), fill=ink, font=font, anchor="mm")
    return canvas


def page(rng: np.random.Generator) -> Image.Image:
    """A page of text: always one layout, but other words."""
    canvas = Image.new("RGB", (300, 400), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for y in range(30, 370, 14):
        pen.text((25, y), _sentence(rng, int(rng.integers(6, 10)))[:44], fill="black", font=font)
    return canvas


def screenshot(rng: np.random.Generator) -> Image.Image:
    """A window: always one frame of bars and lines, but other entries."""
    canvas = Image.new("RGB", (320, 240), (245, 245, 245))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(10)
    pen.rectangle((0, 0, 320, 22), fill=(50, 60, 80))
    pen.rectangle((0, 22, 70, 240), fill=(225, 228, 235))
    for i in range(6):
        pen.text((8, 34 + 20 * i), f"Entry {i}", fill=(60, 60, 60), font=font)
    for i in range(int(rng.integers(4, 10))):
        y = 32 + 20 * i
        pen.rectangle((80, y, 92, y + 12), fill=_colour(rng))
        pen.text(
            (100, y), _sentence(rng, int(rng.integers(3, 7)))[:36], fill=(20, 20, 20), font=font
        )
    return canvas


def scene(rng: np.random.Generator) -> Image.Image:
    """A coloured scene: soft light, hard shapes, grain."""
    size = (240, 180)
    channels = [0.5 + 0.35 * _soft(rng, size, 4) + 0.1 * _soft(rng, size, 16) for _ in range(3)]
    canvas = Image.fromarray(np.uint8(np.clip(np.stack(channels, -1), 0, 1) * 255))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(3, 9))):
        x, y, w, h = (int(value) for value in rng.integers(10, 120, size=4))
        pen.ellipse((x + w / 2, y, x + w, y + h), fill=_colour(rng))
    canvas = canvas.filter(ImageFilter.GaussianBlur(1))
    values = np.asarray(canvas) + rng.normal(0, 3, (size[1], size[0], 3))
    return Image.fromarray(np.uint8(np.clip(values, 0, 255)))


def emblem(rng: np.random.Generator) -> Image.Image:
    """A photo of the embedded world, 32x32."""
    known = emblems.emblems()
    category = known[rng.integers(len(known))]
    return emblems.draw(category, seed=1, subset="lookalikes", index=int(rng.integers(2**31)))


def _sentence(rng: np.random.Generator, count: int) -> str:
    return " ".join(str(word) for word in rng.choice(_WORDS, size=count))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "garments on white": garment,
    "handwritten digits": digit,
    "X-rays": xray,
    "faces of one outline": face,
    "icons": icon,
    "logos": logo,
    "pages of text": page,
    "screenshots": screenshot,
    "scenes": scene,
    "emblems": emblem,
}
