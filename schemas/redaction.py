"""What may be shown: text without passwords and signatures, and without control characters.

A signed URL is a key to somebody's store. It stays in `image_uri`, where it is needed, and is
left out of everything that people read or send: details, messages, ids, logs and reports.
"""

from __future__ import annotations

import json
import re

HIDDEN = "***"
_USER = re.compile(
    r"(?P<mark>://)"
    r"(?:[^/?#\s@'\"<>]*(?:@[^/?#\s@'\"<>]*)*@"
    # Or a password that holds a `/` which is not escaped.
    r"|[^/?#\s@:\['\"<>]{1,200}:(?!\d+[/?#])[^\s@'\"<>]{0,200}@)"
)
_PACKED_USER = re.compile(
    r"(?P<mark>%3a%2f%2f)(?:(?!%2f|%3f|%23)[^/?#&\s@'\"<>]){0,200}?%40", re.IGNORECASE
)
"""As `_USER`, of a URL within a URL."""
_SECRET_NAMES = (
    r"(?:x|q)-[a-z0-9-]*(?:signature|credential)|q-ak"
    r"|(?:aws|oss)?accesskeyid|googleaccessid|key-pair-id|policy"
    r"|(?:[a-z0-9]+[-_.])*(?:signature|sig)|hmac|hdnts|hdnea"
    r"|(?:[a-z0-9]+[-_.])*(?:token|secret|password|passwd|pwd|apikey|api[-_]key|access[-_]?key)"
    r"|jwt|auth|authorization|credentials?|key"
)
# The marks as they stand, or escaped for a URL within a URL, for HTML, for JSON in a page.
_QUERY = re.compile(
    rf"(?P<name>(?:[?&;#]|%3f|%26|%23|&amp;|\\u0026)(?:{_SECRET_NAMES})(?:=|%3d))"
    r"(?:(?!%26|%23|\\u0026)[^&;#\s'\"<>])+(?<![:,.)])",
    re.IGNORECASE,
)
# "Basic training" and a "ring bearer" are words of captions: there a key has a digit or `=`.
_HEADER = re.compile(
    r"(?P<name>\bauthorization['\"]?\s*[:=]\s*['\"]?(?:[A-Za-z0-9-]+\s+)?"
    r"|(?:\bapi-key|secret_access_key)['\"]?\s*[:=]\s*['\"]?"
    r"|\b(?:Bearer|Basic)\s+(?=[A-Za-z0-9+/._~-]*[0-9=]))[A-Za-z0-9+/=._~-]{8,}",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{16,}")
"""Of the Hugging Face hub, wherever it stands."""
# C0 and C1 controls but tab and newline; marks that turn the direction of what follows.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """`text` with passwords, signatures and tokens of the URLs in it replaced by `***`."""
    if "://" in text:
        text = _USER.sub(rf"\g<mark>{HIDDEN}@", text)
    if "%40" in text:
        text = _PACKED_USER.sub(rf"\g<mark>{HIDDEN}%40", text)
    if "=" in text or "%3" in text:
        text = _QUERY.sub(rf"\g<name>{HIDDEN}", text)
    if "_" in text:
        text = _TOKEN.sub(HIDDEN, text)
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
