"""Alterations of a picture, by people and programs, that leave it the same picture."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

Alter = Callable[[Image.Image, np.random.Generator], Image.Image]


def _jpeg(quality: int) -> Alter:
    def alter(image: Image.Image, _: np.random.Generator) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return alter


def _scaled(by: float) -> Alter:
    def alter(image: Image.Image, _: np.random.Generator) -> Image.Image:
        size = round(image.width * by), round(image.height * by)
        return image.resize(size, Image.Resampling.BICUBIC)

    return alter


def _noisy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    values = np.asarray(image) + rng.normal(0, 2, (image.height, image.width, 3))
    return Image.fromarray(np.uint8(np.clip(np.rint(values), 0, 255)))


def _brighter(by: float) -> Alter:
    return lambda image, _: ImageEnhance.Brightness(image).enhance(by)


def _contrast(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(0.85)


def _cropped(image: Image.Image, _: np.random.Generator) -> Image.Image:
    x, y = max(1, image.width // 32), max(1, image.height // 32)
    return image.crop((x, y, image.width - x, image.height - y))


def _squashed(image: Image.Image, _: np.random.Generator) -> Image.Image:
    side = min(image.size)
    return image.resize((side, round(side * 0.8)), Image.Resampling.BICUBIC)


def _framed(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return ImageOps.expand(image, max(2, max(image.size) // 12), (20, 60, 160))


def _letterboxed(image: Image.Image, _: np.random.Generator) -> Image.Image:
    tall = round(max(image.width, image.height) * 1.4)
    return ImageOps.pad(image, (max(image.size), tall), color="black")


def _padded(image: Image.Image, _: np.random.Generator) -> Image.Image:
    red, green, blue = np.asarray(image)[0, 0].tolist()
    return ImageOps.expand(image, max(2, max(image.size) // 10), (red, green, blue))


def _on_a_phone(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A screenshot of a phone that shows the picture, with signs in bars above and below it."""
    width, height = image.size
    bar = max(4, height // 5)
    canvas = Image.new("RGB", (width, height + 2 * bar), "black")
    canvas.paste(image, (0, bar))
    pen = ImageDraw.Draw(canvas)
    sign = max(1, bar // 4)
    for x in (sign, width - 4 * sign, width - 2 * sign):
        pen.rectangle((x, sign, x + sign, 2 * sign), fill="white")
    pen.rectangle((width * 0.4, height + 1.5 * bar, width * 0.6, height + 1.6 * bar), fill="white")
    return canvas


ALTERATIONS: dict[str, Alter] = {
    "JPEG quality 95": _jpeg(95),
    "JPEG quality 75": _jpeg(75),
    "JPEG quality 50": _jpeg(50),
    "enlarged by 2": _scaled(2),
    "enlarged by 1.5": _scaled(1.5),
    "halved": _scaled(0.5),
    "noise of 2/255": _noisy,
    "contrast x 0.85": _contrast,
    "brightness x 1.1": _brighter(1.1),
    "brightness x 1.3": _brighter(1.3),
    "brightness x 0.7": _brighter(0.7),
    "1/32 cropped on each side": _cropped,
    "squashed": _squashed,
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "framed in a colour": _framed,
    "letterboxed": _letterboxed,
    "padded with its ground": _padded,
    "on a phone's screen": _on_a_phone,
}
