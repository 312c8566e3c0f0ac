"""Damage inside an image file that begins and ends well, found without decoding it.

A PNG has a checksum for every part. A JPEG has none: only markers that no JPEG may have among its
pixels tell, and a block of foreign bytes mostly brings them (17 of 20 blocks of 1,000 bytes,
1 of 5 of 50). One changed bit is mostly another picture, and a right JPEG. WebP says nothing.
"""

from __future__ import annotations

import re
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""In the pixels of a JPEG 0xff is followed by 0, by a restart marker, or by the next segment."""
_SCAN, _END = 0xDA, 0xD9
_BETWEEN_SCANS = {0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}
"""Tables, a further scan, the number of lines, comments and data of applications."""


def damage_in(data: bytes) -> str:
    """What is damaged, in words; empty where nothing shows."""
    if data.startswith(_PNG):
        return _in_png(data)
    return _in_jpeg(data) if data.startswith(_JPEG) else ""


def _in_png(data: bytes) -> str:
    place = len(_PNG)
    while place + 12 <= len(data):
        stop = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if stop + 4 > len(data):
            return ""  # cut off: decoding tells
        kind = data[place + 4 : place + 8]
        if zlib.crc32(memoryview(data)[place + 4 : stop]) != int.from_bytes(
            data[stop : stop + 4], "big"
        ):
            return f"the PNG's part at byte {place:,} is not what its checksum says"
        if kind == b"IEND":
            return ""
        place = stop + 4
    return ""


def _in_jpeg(data: bytes) -> str:
    place, is_scan = 2, False
    while place + 4 <= len(data):
        if is_scan:
            found = _MARKER.search(data, place)
            if found is None:
                return ""
            place = found.start()
        elif data[place] != 0xFF:
            return ""  # decoders look for the next marker
        kind = data[place + 1]
        if kind == _END:
            return ""  # what follows is another picture, or a maker's own data
        if kind == 0xFF:
            place += 1
            continue
        if is_scan and kind not in _BETWEEN_SCANS:
            return f"the JPEG's pixels hold the marker {kind:#x} at byte {place:,}"
        is_scan = is_scan or kind == _SCAN
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return ""
