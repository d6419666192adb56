"""Uploads: every body is a checked picture or one sentence, in memory, and no URL is fetched."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from bento.guard import BodyGuard, OneMessage, refusal
from bento.similar import similar as by_picture
from bento.uploads import MAX_SCANS, decoded, received
from components.errors import QueryError
from components.images.encoding import encode

PIXELS = 1_000_000


async def similar(request: Request) -> Response:
    """What the service would search by."""
    try:
        upload = await received(request)
        image = decoded(upload.data, PIXELS)
    except QueryError as error:
        return refusal(400, str(error))
    asked = {k: v for k, v in vars(upload).items() if k != "data"}
    return JSONResponse(asked | {"size": image.size, "mode": image.mode})


APP = Starlette(routes=[Route("/similar", similar, methods=["POST"])])
GUARDED = BodyGuard(APP, uploads=["/similar"], upload_bytes=20 * 2**20, seconds=30)
CLIENT = TestClient(OneMessage(GUARDED))


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, 90).save(file, kind)
    return file.getvalue()


def send(data: bytes, name: str = "image", **fields: str) -> Any:
    return CLIENT.post("/similar", files={name: ("a.png", data)}, data=fields)


def refused(response: Any) -> str:
    """The one sentence of a refusal."""
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    return str(response.json()["error"])


def test_a_picture_and_its_fields_are_read() -> None:
    wanted = {"split": "unseen", "category": ["red star", "é" * 2000]}
    answer = send(picture(), k="7", offset="3", filter=json.dumps(wanted), group="true")
    assert answer.json() == {
        "k": 7,
        "offset": 3,
        "filter": wanted,
        "group": True,
        "size": [8, 6],
        "mode": "RGB",
    }
    usual = send(picture()).json()
    assert (usual["k"], usual["offset"], usual["filter"], usual["group"]) == (20, 0, {}, False)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_allowed_formats_are_decoded(kind: str) -> None:
    assert send(picture(kind)).json()["size"] == [8, 6]


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "EPS", "PDF", "PCX", "JPEG2000"])
def test_other_formats_are_refused(kind: str) -> None:
    assert "the picture" in refused(send(picture(kind, (32, 32))))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        picture()[:40],
        picture("JPEG")[:200],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"https://example.org/a.png",
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert refused(send(data)).startswith("the picture ")


def test_a_picture_is_upright_and_on_white() -> None:
    file = io.BytesIO()
    image = Image.new("RGB", (8, 6))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned
    image.save(file, "JPEG", exif=exif)
    assert send(file.getvalue()).json()["size"] == [6, 8]
    seen = Image.new("RGBA", (2, 1), (9, 9, 9, 255))
    seen.putpixel((0, 0), (0, 0, 0, 0))
    clear = decoded(encode(seen, "PNG"), PIXELS)
    assert clear.mode == "RGB"
    assert (clear.getpixel((0, 0)), clear.getpixel((1, 0))) == ((255, 255, 255), (9, 9, 9))


@pytest.mark.parametrize("side", [(1001, 1000), (20_000, 20_000)])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    side: tuple[int, int],
) -> None:
    """A file of a few bytes for each thousand pixels: a bomb. It need not even be whole."""
    begun = picture(size=side, mode="L")[:200]
    message = refused(send(begun))
    assert message == "the picture has more than 1000000 pixels: scale it down"
    assert send(picture(size=(1000, 1000), mode="L")).status_code == 200


def scans(data: bytes) -> tuple[bytes, bytes]:
    """A progressive JPEG without its end, and its last scan."""
    last = data.rindex(b"\xff\xda")
    return data[:-2], data[last:-2]


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    """Each scan costs a pass over all pixels, and its file a few bytes."""
    file = io.BytesIO()
    Image.new("L", (900, 900), 128).save(file, "JPEG", progressive=True)
    start, scan = scans(file.getvalue())
    assert send(start + b"\xff\xd9").status_code == 200
    assert send(start + scan * (MAX_SCANS // 2) + b"\xff\xd9").status_code == 200
    began = time.monotonic()
    message = refused(send(start + scan * 100_000 + b"\xff\xd9"))
    assert "too many scans" in message
    assert time.monotonic() - began < 10


def test_what_follows_a_jpeg_counts_for_nothing() -> None:
    """A phone appends a video, which may have any bytes."""
    assert send(picture("JPEG") + b"\xff\xda\0\2" * 1000).status_code == 200


@pytest.mark.parametrize(
    ("fields", "about"),
    [
        ({"k": "0"}, "k: "),
        ({"k": "1001"}, "k: "),
        ({"k": "-1"}, "k: "),
        ({"k": "1.5"}, "k: "),
        ({"k": "many"}, "k: "),
        ({"k": "٣"}, "k: "),
        ({"k": ""}, "k: "),
        ({"k": "9" * 1000}, "k: "),
        ({"k": "9" * 60_000}, "k: "),
        ({"k": "9" * 70_000}, "the form cannot be read: "),
        ({"filter": "split"}, "filter: "),
        ({"filter": '["split"]'}, "filter: "),
        ({"filter": '{"split": 3}'}, "filter.split."),
        ({"filter": '{"\\ud800": "a"}'}, "filter: "),
        ({"filter": "[" * 60_000}, "filter: "),
        ({"group": "perhaps"}, "group: "),
        ({"offset": "100001"}, "offset: "),
        ({"top": "3"}, "top: "),
        (dict.fromkeys("abcdef", "1"), "the form cannot be read: "),
        ({"k": ["1", "2"]}, "k: "),
    ],
)
def test_a_bad_field_is_one_sentence(fields: dict[str, Any], about: str) -> None:
    assert refused(send(picture(), **fields)).startswith(about)


def test_a_form_may_be_named_in_capitals() -> None:
    async def route(request: Request) -> Response:
        return await by_picture(request, SimpleNamespace(), PIXELS)  # type: ignore[arg-type]

    guarded = BodyGuard(Starlette(routes=[Route("/", route, methods=["POST"])]), uploads=["/"])
    headers = {"Content-Type": "Multipart/Form-Data; boundary=b"}
    with pytest.raises(QueryError, match="image: the form has no file"):
        TestClient(guarded).post("/", content=b"--b--\r\n", headers=headers)


@pytest.mark.parametrize("name", ["k", "url", "image2"])
def test_another_file_is_refused(name: str) -> None:
    assert refused(send(picture(), name)).startswith(f"{name}: ")
    files = [("image", ("a.png", picture())), ("image", ("b.png", picture()))]
    assert "Too many files" in refused(CLIENT.post("/similar", files=files))


@pytest.mark.parametrize("name", ["image", "url", "k"])
def test_no_url_is_fetched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """BentoML's own parser would fetch a URL in a field for a file."""
    called: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *a: called.append(a))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: called.append(a))
    form = {name: (None, "http://127.0.0.1:1/a.png")}
    response = CLIENT.post("/similar", files=form)
    assert refused(response).startswith(
        f"{name}: " if name == "image" else (f"{name}: ", "image: ")
    )
    assert called == []
    if name == "image":
        assert "no URL is fetched" in response.json()["error"]


def test_an_uploaded_picture_is_not_written_to_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    large = picture("BMP", (900, 900))
    assert len(large) > 2 * 2**20
    assert send(large).json()["size"] == [900, 900]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b""),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
        ("multipart/form-data; boundary=b", b"\r\n" * 9999),
        ("multipart/form-data; boundary=b; charset=idna", None),
        ("multipart/form-data; boundary=b; charset=hex", None),
        ("multipart/form-data; boundary=b; charset=\x80", None),
    ],
)
def test_a_form_that_cannot_be_read_is_one_sentence(kind: str, body: bytes | None) -> None:
    if body is None:
        head = b'--b\r\nContent-Disposition: form-data; name="\xff..xn--\xff"'
        body = head + b"\r\n\r\n\xff\r\n--b--\r\n"
    headers = {"Content-Type": kind.encode("latin-1")}
    response = CLIENT.post("/similar", content=body, headers=headers)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([b"", b"--b\r\n", b"--b\r\nContent-Disposition: form-data; name=image"]),
    data=st.binary(max_size=300),
    kind=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30),
)
def test_any_bytes_are_a_picture_or_a_refusal(start: bytes, data: bytes, kind: str) -> None:
    for tail in ("boundary=b", f"boundary=b; {kind}", kind):
        headers = {"Content-Type": f"multipart/form-data; {tail}".encode("latin-1")}
        response = CLIENT.post("/similar", content=start + data, headers=headers)
        assert response.status_code == 400
        assert list(response.json()) == ["error"]


WHOLE = [picture(kind, (40, 30)) for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF", "BMP")]


@settings(max_examples=300, deadline=None)
@given(
    data=st.sampled_from(WHOLE),
    at=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=8),
    cut=st.booleans(),
)
def test_a_damaged_picture_is_decoded_or_refused(
    data: bytes, at: float, junk: bytes, cut: bool
) -> None:
    place = int(at * len(data))
    damaged = data[:place] + junk + (b"" if cut else data[place + len(junk) :])
    assert send(damaged).status_code in (200, 400)


def test_other_requests_have_their_turn_while_a_form_is_read() -> None:
    async def run() -> int:
        turns = 0
        body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        body += bytes(4 * 2**20) + b"\r\n--b--\r\n"
        coming = iter([{"type": "http.request", "body": body}])

        async def receive() -> Any:
            return next(coming)

        kind = (b"content-type", b"multipart/form-data; boundary=b")
        scope = {"type": "http", "method": "POST", "path": "/similar", "headers": [kind]}
        reading = asyncio.create_task(received(Request(scope, receive)))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert len(reading.result().data) == 4 * 2**20
        return turns

    assert asyncio.run(run()) > 30
