"""What may be shown: text without passwords and signatures, and without control characters.

A signed URL is a key to somebody's store. It stays in `image_uri`, where it is needed, and is
left out of everything that people read or send: details, messages, ids, logs and reports.
"""

from __future__ import annotations

import json
import re

HIDDEN = "***"
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s@'\"<>]*(?:@[^/?#\s@'\"<>]*)*@")
_SECRET_NAMES = (
    r"x-amz-(?:signature|credential|security-token)"
    r"|x-goog-(?:signature|credential)"
    r"|awsaccesskeyid|googleaccessid|key-pair-id|policy"
    r"|signature|sig|hmac|hdnts|hdnea"
    r"|(?:[a-z0-9]+[-_.])*(?:token|secret|password|passwd|pwd|apikey|api[-_]key|access[-_]?key)"
    r"|jwt|auth|authorization|credentials?|key"
)
_QUERY = re.compile(
    rf"(?P<name>(?:[?&;]|%26|&amp;)(?:{_SECRET_NAMES})(?:=|%3d))[^&;#\s'\"<>]+", re.IGNORECASE
)
_HEADER = re.compile(r"(?P<name>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]{8,}")
# C0 and C1 controls but tab and newline; marks that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """`text` with passwords, signatures and tokens of the URLs in it replaced by `***`."""
    if "://" in text:
        text = _USER.sub(rf"\g<scheme>{HIDDEN}@", text)
    if "=" in text or "%3" in text:
        text = _QUERY.sub(rf"\g<name>{HIDDEN}", text)
    return _HEADER.sub(rf"\g<name>{HIDDEN}", text)


def printable(text: str) -> str:
    """`text` with control characters written out: `\\x1b` can neither move a cursor nor hide."""
    text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
    return text.encode("utf-8", "backslashreplace").decode()


def page_text(html: str) -> str:
    """A page with controls written out; marks of direction stay, which a browser needs."""
    text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", lambda c: ascii(c[0])[1:-1], html)
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """`text` as a part of one line, whatever it holds."""
    return " ".join(printable(text).split())


def yaml_string(text: str) -> str:
    """`text` in quotes: a JSON string is one of YAML, which takes no control character as it is."""
    return "".join(
        letter if letter.isprintable() else f"\\U{ord(letter):08x}"
        for letter in json.dumps(text, ensure_ascii=False)
    )


def shown(text: str) -> str:
    """`text` as a terminal or a message may show it: redacted and printable."""
    return printable(redact(text))
