"""Whether a JPEG is whole, by its markers alone.

Decoders fill what is missing with grey and say nothing, and a file may go on behind its picture: a
phone's video, a camera's notes, further pictures. So neither the last bytes nor the last marker
tell; the segments have to be walked through. Markers and their order: ITU-T T.81, B.1 and B.2.
"""

from __future__ import annotations

import re

_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # how the picture is coded: once, before its scans
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_NEXT = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
"""A marker, but for those inside a scan (restarts, and the 0 that follows a coded 255) and TEM."""


def is_whole(data: bytes) -> bool:
    """Whether the picture that ``data`` begins with has its end marker behind its scans.

    A picture that was cut inside a scan, and given an end marker by somebody, passes.
    """
    at, scanned = 2, False
    while (found := _NEXT.search(data, at)) is not None:
        marker = found[1][0]
        if marker == _EOI:
            return scanned
        if marker == _SOI or marker < 0xC0 or (scanned and marker in _SOF):
            return False  # another picture begins, or what comes is none of this one
        scanned = scanned or marker == _SOS
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return False
