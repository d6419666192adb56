"""Decoding: transparency, formats, trailers and truncation, sizes, and memory."""

from __future__ import annotations

import base64
import io
import json
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from components import config
from components.collection.checks import Rejected, decode
from components.errors import EidolonError
from components.images import decoding, jpeg
from components.images.hashing import image_hashes
from components.models.encoders import VisionEncoder

ROOT = Path(__file__).parents[1]
BLUE, HIDDEN = (0, 0, 255), (255, 0, 0)
HEIC = base64.b64decode(  # a blue square on red; no library here writes such files
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA"
    "AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAADoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo"
    "dmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA"
    "GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAA"
    "AwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAACAAAAAB"
    "AAAAIAAAAAH////gAAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAEJt"
    "ZGF0AAAANigBrxOAEQn0YOUf4/T6Wz5jpK37RxGX6/Y4bFIyDduuHRRJld/JJxwB/9TO1SSr/8TdybRj/g=="
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def icon(ground: tuple[int, int, int] = HIDDEN) -> Image.Image:
    """A blue square on a transparent ground, whose hidden colour nobody should see."""
    image = Image.new("RGBA", (8, 8), (*ground, 0))
    image.paste((*BLUE, 255), (2, 2, 6, 6))
    return image


def png(bits: int, colour: int, row: bytes, transparent: bytes, palette: bytes = b"") -> bytes:
    """A PNG of one row by hand: Pillow writes none with so few bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    width = len(row) * 8 // bits // (3 if colour == 2 else 1)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)),
            chunk(b"PLTE", palette) if palette else b"",
            chunk(b"tRNS", transparent) if transparent else b"",
            chunk(b"IDAT", zlib.compress(b"\0" + row)),
            chunk(b"IEND", b""),
        ]
    )


TRANSPARENT: dict[str, Callable[[], bytes]] = {
    "RGBA": lambda: encoded(icon(), "PNG"),
    "palette": lambda: encoded(icon().quantize(4), "PNG"),
    "PA": lambda: encoded(icon().convert("PA"), "TIFF"),
    "TIFF": lambda: encoded(icon(), "TIFF"),
    "GIF": lambda: encoded(icon(), "GIF"),
    "WebP": lambda: encoded(icon(), "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_transparent_pixels_show_the_ground(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as Pillow's on palettes
        image = decoding.decode(TRANSPARENT[kind]())
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == decoding.GROUND
    assert image.getpixel((4, 4)) == BLUE


GREY = {  # bits a pixel: a row, the transparent value, and what is seen
    1: (b"\xa0", 0, [255, 255, 255, 255]),
    2: (b"\x1b", 1, [0, 255, 170, 255]),
    4: (b"\x05\xaf", 5, [0, 255, 170, 255]),
    8: (b"\x00\x05\x64\xff", 5, [0, 255, 100, 255]),
}


OPAQUE = {1: [255, 0, 255, 0], 2: [0, 85, 170, 255], 4: [0, 85, 170, 255], 8: [0, 5, 100, 255]}


@pytest.mark.parametrize("bits", GREY)
def test_the_transparent_grey_of_a_png_is_scaled_as_its_pixels_are(bits: int) -> None:
    row, value, seen = GREY[bits]
    image = decoding.decode(png(bits, 0, row, struct.pack(">H", value)))
    assert np.asarray(image)[0, :4, 0].tolist() == seen
    plain = decoding.decode(png(bits, 0, row, b""))
    assert np.asarray(plain)[0, :4, 0].tolist() == OPAQUE[bits]


@pytest.mark.parametrize("depth", ["B", "H"])
def test_the_transparent_colour_of_a_png(depth: str) -> None:
    """Of 8 and of 16 bits a channel."""
    scale = 1 if depth == "B" else 257
    colours = [c * scale for c in (18, 86, 154, 1, 2, 3)]
    row = struct.pack(f">6{depth}", *colours)
    image = decoding.decode(
        png(8 if depth == "B" else 16, 2, row, struct.pack(">3H", *colours[:3]))
    )
    assert np.asarray(image)[0].tolist() == [list(decoding.GROUND), [1, 2, 3]]


def test_a_half_transparent_pixel_is_mixed_with_the_ground() -> None:
    palette = png(8, 3, bytes([0, 1]), bytes([128, 255]), palette=bytes([0, 0, 0, 9, 9, 9]))
    for data in (encoded(Image.new("LA", (1, 1), (0, 128)), "PNG"), palette):
        # 255 of the ground, and 0 with a weight of 128/255
        assert decoding.decode(data).getpixel((0, 0)) == (127, 127, 127)


def test_icons_on_transparent_ground_are_not_the_same_picture() -> None:
    black, other = Image.new("RGBA", (8, 8)), Image.new("RGBA", (8, 8))
    black.paste((0, 0, 0, 255), (1, 1, 4, 4))
    other.paste((0, 0, 0, 255), (4, 2, 6, 7))
    one, two = (decoding.decode(encoded(i, "PNG")) for i in (black, other))
    assert image_hashes(one).pixels != image_hashes(two).pixels
    # the hidden colour does not matter
    one, two = (decoding.decode(encoded(icon(g), "PNG")) for g in (HIDDEN, (0, 255, 0)))
    assert image_hashes(one) == image_hashes(two)


def test_a_picture_that_is_transparent_everywhere_is_refused() -> None:
    data = encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 0)), "PNG")
    with pytest.raises(EidolonError, match="fully transparent"):
        decoding.decode(data)
    with pytest.raises(Rejected, match="fully transparent"):
        decode(data)


def several(kind: str) -> bytes:
    """A file whose first picture is blue and whose second is red."""
    first, second = (Image.new("RGB", (16, 16), colour) for colour in (BLUE, HIDDEN))
    return encoded(first, kind, save_all=True, append_images=[second])


@pytest.mark.parametrize("kind", ["MPO", "GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_of_several_pictures_is_taken(kind: str) -> None:
    data = several(kind)
    with Image.open(io.BytesIO(data)) as opened:
        assert getattr(opened, "n_frames", 1) == 2
    image, found = decode(data)
    assert found == ("JPEG" if kind == "MPO" else kind)
    np.testing.assert_allclose(np.asarray(image)[8, 8], BLUE, atol=3)  # lossy


def test_heic_and_avif_are_read() -> None:
    image, kind = decode(HEIC)
    assert (image.size, kind) == ((32, 32), "HEIF")
    np.testing.assert_allclose(np.asarray(image)[16, 16], (20, 20, 220), atol=6)  # lossy
    assert decode(encoded(noise(16, 16), "AVIF"))[1] == "AVIF"
    for data in (HEIC, encoded(noise(16, 16), "AVIF"), encoded(noise(16, 16), "GIF")):
        for cut in (len(data) // 2, len(data) - 20):
            with pytest.raises(Rejected):
                decode(data[:cut])


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "`git lfs pull`"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"\0\0\0\x18ftypmp42", "is a video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is JPEG XL: save it"),
        (b"<svg xmlns=", "is SVG"),
        (b"nothing known", "cannot be decoded"),
    ],
)
def test_a_file_that_is_not_a_picture_is_named_by_its_format(
    head: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(head)
    with pytest.raises(EidolonError, match=f"a.jpg {reason}|a.jpg .*{reason}"):
        decoding.decode(tmp_path / "a.jpg")


JPEGS: dict[str, bytes] = {
    "baseline": encoded(noise(60, 80), "JPEG"),
    "progressive": encoded(noise(60, 80), "JPEG", progressive=True),
    "restarts": encoded(noise(60, 80), "JPEG", restart_marker_blocks=2),
    "grey": encoded(noise(60, 80).convert("L"), "JPEG"),
    "CMYK": encoded(noise(60, 80).convert("CMYK"), "JPEG"),
}
_THUMBNAIL = b"Exif\0\0" + JPEGS["grey"]
JPEGS["with a thumbnail"] = (
    JPEGS["baseline"][:2]
    + b"\xff\xe1"
    + struct.pack(">H", len(_THUMBNAIL) + 2)
    + _THUMBNAIL
    + JPEGS["baseline"][2:]
)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_is_whole_until_it_is_cut(kind: str) -> None:
    data = JPEGS[kind]
    assert jpeg.is_whole(data)
    cuts = [*range(0, len(data) - 1, 7), len(data) - 2, len(data) - 1]
    assert not [cut for cut in cuts if jpeg.is_whole(data[:cut])]


@given(kind=st.sampled_from(sorted(JPEGS)), trailer=st.binary(max_size=200))
def test_bytes_after_a_jpeg_do_not_matter(kind: str, trailer: bytes) -> None:
    assert jpeg.is_whole(JPEGS[kind] + trailer)


def test_a_jpeg_with_a_long_trailer_is_taken_and_one_that_runs_into_another_is_not() -> None:
    data = JPEGS["baseline"]
    video = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(3_000_000)
    for trailer in (video, b"\xff\xda" * 9, b"\0" * 9, JPEGS["grey"]):
        image, kind = decode(data + trailer)
        assert (image.size, kind) == ((60, 80), "JPEG")
    with pytest.raises(Rejected):
        decode(data[: len(data) // 2] + JPEGS["grey"])


def test_a_jpeg_that_was_cut_and_given_an_end_passes() -> None:
    """As docs/data.md says: decoders fill the rest with grey, and do not say that they do."""
    data = JPEGS["baseline"]
    image, _ = decode(data[: len(data) // 2] + b"\xff\xd9")
    assert len(np.unique(np.asarray(image)[-8:])) <= 3


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    side=st.integers(1, 12),
    kind=st.sampled_from(["JPEG", "PNG"]),
)
@settings(max_examples=60)
def test_a_picture_is_decoded_no_smaller_than_twice_the_side(
    width: int, height: int, side: int, kind: str
) -> None:
    data = encoded(Image.new("RGB", (width, height)), kind)
    image = decoding.decode(data, side=side)
    least = min(width, height)
    assert min(least, 2 * side) <= min(image.size) <= least
    if least >= 4 * side:
        assert min(image.size) < 4 * side
    assert abs(image.width * height - image.height * width) <= max(width, height) * 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_small_picture_is_the_same_and_a_large_one_nearly(kind: str) -> None:
    small = encoded(noise(32, 48), kind)
    assert decoding.decode(small, side=32) == decoding.decode(small)
    large = encoded(noise(6, 5).resize((600, 500), Image.Resampling.BICUBIC), kind)
    whole = decoding.decode(large).resize((30, 25), Image.Resampling.BOX)
    reduced = decoding.decode(large, side=30).resize((30, 25), Image.Resampling.BOX)
    difference = np.abs(np.asarray(whole, dtype=float) - np.asarray(reduced, dtype=float))
    assert difference.mean() < 3  # of 255: what the edges of the cells differ by


def test_a_reduced_picture_is_rotated_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    # a JPEG is reduced by powers of two alone while it is decoded
    for kind, size in (("JPEG", (25, 50)), ("PNG", (20, 40)), ("TIFF", (20, 40))):
        data = encoded(noise(200, 100), kind, exif=exif)
        assert decoding.decode(data, side=10).size == size


def test_the_largest_number_of_pixels_is_a_parameter() -> None:
    data = encoded(Image.new("1", (200, 100)), "PNG")
    assert decode(data, 20_000)[0].size == (200, 100)
    with pytest.raises(Rejected, match=r"200x100 pixels, more than 19999.*ingest\.max_pixels") as e:
        decode(data, 19_999)
    assert e.value.kind == "too many pixels"
    given = config.load(ROOT / "params.yaml").ingest.model_dump()
    config.Ingest(**given | {"max_pixels": decoding.MAX_PIXELS})
    with pytest.raises(ValidationError):
        config.Ingest(**given | {"max_pixels": decoding.MAX_PIXELS + 1})


def test_a_photograph_of_108_megapixels_is_read_where_it_is_allowed() -> None:
    data = encoded(Image.new("L", (12_000, 9_000)), "JPEG")
    assert decoding.decode(data, side=32).size == (89, 67)
    with pytest.raises(Rejected, match="12000x9000"):
        decode(data, 50_000_000)


def test_groups_are_limited_in_number_and_bytes() -> None:
    small, large = Image.new("RGB", (1, 1)), Image.new("RGB", (4096, 4096))  # 3 B and 48 MiB
    assert [len(g) for g in decoding.grouped([small] * 7, 3)] == [3, 3, 1]
    assert [len(g) for g in decoding.grouped([large] * 7, 256)] == [3, 3, 1]
    assert list(decoding.grouped([], 3)) == []


@pytest.mark.parametrize(
    ("changed", "side"),
    [
        ({}, 32),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, 256),
        ({"do_resize": False}, None),
    ],
)
def test_an_encoder_says_how_large_it_wants_its_pictures(
    changed: dict[str, object], side: int | None, tmp_path: Path
) -> None:
    folder = shutil.copytree(ROOT / "zoo" / "models" / "dino", tmp_path / "dino")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    assert VisionEncoder(str(folder)).side == side


@pytest.mark.parametrize("what", ["ingest", "embed"])
def test_memory_does_not_grow_with_the_number_of_photographs(what: str) -> None:
    """A photograph has 12 megapixels, 36 MB when decoded: 30 more take less than three of them."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", what, "2", "32"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = (int(line.split()[1]) for line in done.stdout.splitlines()[1:])
    assert many - few < 108, done.stdout
