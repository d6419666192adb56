"""Checks by its markers whether a JPEG is complete.

Decoders silently fill a missing part with grey. And other data may follow the picture in the file:
a phone's video, a camera's notes, more pictures. So neither the last bytes nor the last marker
decide, and the check walks through the segments. Markers and their order: ITU-T T.81, B.1 and B.2.
"""

from __future__ import annotations

import re

_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start of frame: once, before the scans
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_NEXT = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
"""A marker, except TEM and those inside a scan: restarts, and the 0 after an encoded 255."""


def is_whole(data: bytes) -> bool:
    """Whether the first picture in ``data`` has its end marker after its scans.

    A picture that was cut inside a scan passes if someone added an end marker.
    """
    at, scanned = 2, False
    while (found := _NEXT.search(data, at)) is not None:
        marker = found[1][0]
        if marker == _EOI:
            return scanned
        if marker == _SOI or marker < 0xC0 or (scanned and marker in _SOF):
            return False  # another picture starts, or this is not part of a JPEG
        scanned = scanned or marker == _SOS
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return False
