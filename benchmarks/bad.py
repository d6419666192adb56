"""Requests that nobody should send, as bytes on a socket, and what may be answered to them.

They are drawn at random: of wrong types and sizes, odd characters, deep JSON, bombs, forms that are
none, paths that lead out, slow bodies, and callers that hang up.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from PIL import Image

LOST = 0  # the connection ended without an answer
_SEARCHES = ("/search", "/search/stream")
_ODD = (
    *("\x00", "\x07", "\x1b[31m", "\x7f", "\u0085", "\u200b", "\u2028", "\u202e", "\ufeff"),
    *(
        "\ufffd",
        "\uffff",
        "\U000e0001",
        "\U0010ffff",
        "e\u0301\u0301",
        "🟥",
        "👩‍👩‍👧",
        "ﷺ",
        "İ",
        "红",
    ),
    *("{}", "%s", "%00", "'; --", "<script>", "../", "\\", '"', "${x}", "star ", "red "),
)


@dataclass(frozen=True)
class Bad:
    """A request in ``pieces``, with a ``pause`` in seconds after each.

    ``statuses`` may be answered, beside 429 and 503. A caller with ``reads`` hangs up after so
    many bytes of the answer. ``http`` is false where the server cannot read it as HTTP: that
    answer has no form.
    """

    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...]
    pause: float = 0.0
    reads: int | None = None
    http: bool = True


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """One request. A keyword such as ``content_type`` is a header."""
    lines = {"host": "127.0.0.1", "connection": "close"}
    if body:
        lines["content-length"] = str(len(body))
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + body


def posted(path: str, body: Any, **headers: str) -> bytes:
    """A request with JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", path, data, **({"content_type": "application/json"} | headers))


def form(body: bytes, boundary: str = "b") -> bytes:
    """A request with a form."""
    kind = f"multipart/form-data; boundary={boundary}"
    return request("POST", "/similar", body, content_type=kind)


def file(data: bytes, disposition: str = 'name="image"; filename="x.png"') -> bytes:
    """A form with one file."""
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return form(head + data + b"\r\n--b--\r\n")


def _types(rng: Random) -> Bad:
    wrong: dict[str, list[Any]] = {
        "query": [5, None, [], {}, True, "", " \t", "\u200b", "x" * 301, "x" * 10_001],
        "k": ["many", 2.5, True, None, [], {}, 0, 1001, -1, 10**400, float("nan")],
        "offset": ["1", 1.5, False, None, -1, 100_001, float("inf")],
        "mode": ["best", 1, None, [], "TEXT"],
        "weight": [-0.1, 1.1, "half", [], float("nan"), float("-inf"), 1e999],
        "images": [0, 17, 1.5, "2", [], True],
        "seed": [-1, 2**31, 0.5, "0", [0]],
        "drop": ["all", [5], [""], ["x" * 2001], ["x"] * 101, {}, None],
        "exclude": [5, [], " ", "x" * 301],
        "filter": [[], "a", {"": "x"}, {"colour": "red"}, {"category": []}, {"category": 5}],
        "group": ["perhaps", 2, None, []],
        "x" * rng.choice([1, 50_000]): [1],
    }
    field = rng.choice(sorted(wrong))
    body = {"query": "red star", "mode": "text"} | {field: rng.choice(wrong[field])}
    return Bad((posted(rng.choice(_SEARCHES), body),), (400,))


def _sizes(rng: Random) -> Bad:
    size = rng.choice([64 * 1024 + 1, 2**20])
    path = rng.choice(["/search", "/search/stream", "/similar", "/feedback"])
    if rng.random() < 0.5:  # it is refused by its length alone
        head = request(
            "POST",
            path,
            content_type="application/json",
            content_length=str(rng.choice([size, 2**62])),
        )
        return Bad((head,), (400, 413))
    head = request("POST", path, content_type="application/json", transfer_encoding="chunked")
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    return Bad((head, *[chunk] * (size // 0x2000 + 1), b"0\r\n\r\n"), (413, LOST))


def _characters(rng: Random) -> Bad:
    text = "".join(rng.choice(_ODD) for _ in range(rng.randint(1, 40)))
    text += "".join(chr(rng.randrange(0x110000)) for _ in range(rng.randint(0, 9)))
    mode = rng.choice(["auto", "text", "text", "text", "image", "fused"])
    body: dict[str, Any] = {"query": text, "mode": mode, "images": 1}
    if rng.random() < 0.3:
        body = {"query": "red star", "mode": "text", rng.choice(["exclude", "filter"]): text}
    return Bad((posted(rng.choice(_SEARCHES), body),), (200, 400))


def _not_json(rng: Random) -> Bad:
    text = b'{"query": "red star", "mode": "text"}'
    bodies = [
        text[: rng.randrange(1, len(text))],
        rng.randbytes(rng.randint(1, 300)),
        text.decode().encode(rng.choice(["utf-16", "utf-32", "utf-8-sig"])),
        text.replace(
            b"red", rng.choice([b"\x00", b"\n", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\"])
        ),
        b'{"query": "red", "k": NaN}',
        b'{"query": "red", "weight": -Infinity}',
        b"[" * rng.choice([10, 1000, 60_000]),
        b'{"filter": ' * rng.choice([10, 1000, 5000]),
        b'{"query": "red", "filter": ' + b'{"a": ' * 900 + b"1" + b"}" * 901,
        gzip.compress(b" " * 10**6),
    ]
    path = rng.choice([*_SEARCHES, "/similar", "/feedback"])
    return Bad((posted(path, rng.choice(bodies)),), (200, 400))


def _kinds_of_body(rng: Random) -> Bad:
    kind = rng.choice(
        ["", "text/plain", "application/vnd.bentoml+pickle", "multipart/form-data", "*/*"]
    )
    sent = request("POST", rng.choice(_SEARCHES), b'{"query": "red"}', content_type=kind)
    return Bad((sent,), (400, 415))


def _bombs(rng: Random) -> Bad:
    side = rng.choice([6000, 60_000, 2**31 - 1])
    plain = io.BytesIO()
    Image.new("RGB", (8, 8)).save(plain, "PNG")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", b"\0" * 10**6)
    scans = io.BytesIO()
    Image.new("RGB", (64, 64)).save(scans, "JPEG", progressive=True)
    files = [
        _png(side, side, zlib.compress(b"\0" * 10**6)),
        _png(8, 8, zlib.compress(b"\0" * 10**7)),
        _png(side, 1, rng.randbytes(99)),
        plain.getvalue()[: rng.randrange(1, len(plain.getvalue()))],
        packed.getvalue(),
        scans.getvalue()[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 5000,
        b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\xf7\0\0" + rng.randbytes(999),
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"BM" + rng.randbytes(200),
        b"",
        rng.randbytes(rng.randint(1, 100_000)),
    ]
    return Bad((file(rng.choice(files)),), (200, 400))


def _png(width: int, height: int, data: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    made = (
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def _forms(rng: Random) -> Bad:
    field = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    sent = [
        form(rng.randbytes(rng.randint(1, 2000))),
        form(b"--b--\r\n"),
        form(b"--b\r\n" * 5000),
        form((field % (b"image", b"http://127.0.0.1:1/x")) + b"--b--\r\n"),
        form((field % (b"k", b"5")) * 50 + b"--b--\r\n"),
        form((field % (b"k", b"9" * 5000)) + b"--b--\r\n"),
        form(b"--b\r\nX: " + b"y" * 60_000 + b"\r\n\r\n1\r\n--b--\r\n"),
        form(b"x" * 100, boundary=rng.choice(["", "b" * 5000, '"', "é"])),
        file(b"x", 'name="image"; filename="../../x"'),
        file(b"x", "name=image; filename*=utf-16''%ff"),
        file(b"x", rng.choice(['name="other"; filename="x"', 'filename="x"', "name"])),
        request("POST", "/similar", b"x", content_type="multipart/form-data"),
    ]
    return Bad((rng.choice(sent),), (400,))


def _paths(rng: Random) -> Bad:
    up = rng.choice(
        ["../", "..%2f", "%2e%2e/", "%252e%252e%252f", "..\\", "..%5c", "....//", "%00"]
    )
    end = rng.choice(
        ["etc/passwd", "bundle.json", "release.json", "src/bento/service.py", "a" * 9000]
    )
    start = rng.choice(["/images/", "/", "/page/", "//", "/images/gallery/", "/metrics/"])
    query = rng.choice(["", "?original=1", "?v=" + "0" * 12, "?original=1&original=2"])
    sent = request("GET", start + up * rng.randint(1, 9) + end + query)
    return Bad((sent,), (400, 404))


def _methods(rng: Random) -> Bad:
    path = rng.choice(["/search", "/similar", "/bundle", "/", "/images/x", "/nothing", "/metrics"])
    method = rng.choice(["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "CONNECT"])
    return Bad((request(method, path),), (400, 404, 405))


def _headers(rng: Random) -> Bad:
    good = b'{"query": "red star", "mode": "text"}'
    refused = rng.choice([{"host": "evil.example"}, {"origin": "http://evil.example"}])
    long = rng.choice(["x" * 2000, "\u00e9\u00ff", "a b", "../..", "{}", "00-0-0-00"])
    names = ("x_request_id", "traceparent", "authorization", "accept", "cookie", "x_forwarded_for")
    if rng.random() < 0.3:
        return Bad((posted("/search", good, **refused),), (403,))
    return Bad((posted("/search", good, **{rng.choice(names): long}),), (200,))


def _not_http(rng: Random) -> Bad:
    sent = [
        rng.randbytes(rng.randint(1, 500)) + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        request("BREW", "/search"),
        posted("/search", {}, content_type="a\x01b"),
        request("POST", "/search", content_type="application/json", content_length="9" * 99),
        b"POST /search HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /search HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        request("POST", "/search", transfer_encoding="chunked", content_type="application/json")
        + b"zz\r\n",
    ]
    return Bad((rng.choice(sent),), (400, 403, 431, LOST), http=False)


def _ids(rng: Random) -> Bad:
    id = rng.choice(["", "nothing", "0" * 64, "../x", "\x00", "é" * 3000, 5, None, ["x"], {"a": 1}])
    similar: dict[str, Any] = {"id": id, "k": rng.choice([1, 0, "x"])}
    mark = {"request": rng.choice(["", "a b", "x" * 65, "\n", 5]), "id": id, "right": 1}
    path, body = rng.choice([("/similar", similar), ("/feedback", mark)])
    return Bad((posted(path, body),), (400,))


def _slow(rng: Random) -> Bad:
    whole = posted("/search", {"query": "red star", "mode": "text"})
    step = len(whole) // rng.randint(2, 6)
    pieces = tuple(whole[i : i + step] for i in range(0, len(whole), step))
    return Bad(pieces, (200,), pause=rng.uniform(0.01, 0.3))


def _breaks_off(rng: Random) -> Bad:
    whole = posted(rng.choice(_SEARCHES), {"query": "red star", "k": 1000})
    upload = file(b"\x89PNG" + rng.randbytes(200_000))
    sent = rng.choice([whole, upload])
    return Bad((sent[: rng.randrange(1, len(sent))],), (LOST,), reads=0)


def _hangs_up(rng: Random) -> Bad:
    texts = ["red striped star", f"a red star beside {rng.randrange(10**6)} rings"]
    body = {"query": rng.choice(texts), "k": 1000, "mode": "fused", "images": 1}
    reads = rng.choice([1, 500, 20_000])
    return Bad((posted(rng.choice(_SEARCHES), body),), (LOST,), reads=reads)


KINDS: dict[str, Callable[[Random], Bad]] = {
    "wrong types": _types,
    "wrong sizes": _sizes,
    "odd characters": _characters,
    "no JSON": _not_json,
    "no body of a known kind": _kinds_of_body,
    "bombs": _bombs,
    "forms that are none": _forms,
    "paths that lead out": _paths,
    "other methods": _methods,
    "odd headers": _headers,
    "no HTTP": _not_http,
    "unknown ids": _ids,
    "slow bodies": _slow,
    "broken off in the body": _breaks_off,
    "hung up in the answer": _hangs_up,
}
"""What is wrong with a request, and a function that makes one."""
