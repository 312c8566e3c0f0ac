"""Raw caption values to text that can be parsed and written, or the reason why not."""

from __future__ import annotations

from typing import Any

from pipeline.corpus.field_names import CAPTIONS
from schemas.caption_text import Problem, caption_problem
from schemas.records import Status

RAW = "raw"
MAX_CAPTIONS = 1_000
"""Of one image: two bytes of a file are a caption, and a row takes a thousand times as many."""
KEPT_CHARS = 200
"""So much of an unusable caption stays in its row, to recognise it by."""


def too_many(value: Any, captions: str) -> Problem | None:
    """What to say of an image with so many captions that its rows would fill the memory."""
    if isinstance(value, list | tuple) and captions == "all" and len(value) > MAX_CAPTIONS:
        detail = f"the image has {len(value):,} captions; at most {MAX_CAPTIONS:,} are read"
        return Status.RECORD_INVALID, detail
    return None


def count_captions(value: Any, captions: str) -> int:
    """Records that a field of captions makes."""
    is_one = not isinstance(value, list | tuple) or too_many(value, captions) is not None
    return 1 if is_one or captions != "all" else max(1, len(value))


def list_captions(value: Any, captions: str) -> list[Any]:
    """The captions in a field: of a list each one or the first; at least one entry, maybe None."""
    if not isinstance(value, list | tuple):
        return [_text_of(value)]
    chosen = value[:1] if captions == "first" else value
    return [_text_of(entry) for entry in chosen] or [None]


def _text_of(value: Any) -> Any:
    """The caption of an object with more about it, such as Karpathy's `{"raw": ..., "sentid": 7}`.

    Anything else is returned as it is.
    """
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in (RAW, *CAPTIONS) if name in value), value)


def read_caption(value: Any, max_chars: int) -> tuple[str | None, Problem | None]:
    """The caption untouched, or what can be shown of it and why it cannot be used."""
    if value is None:
        return None, caption_problem(None, max_chars)
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError as error:
            shown = value[: 4 * KEPT_CHARS].decode("utf-8", "replace")[:KEPT_CHARS]
            reason = f"not UTF-8: byte 0x{value[error.start]:02x} at byte {error.start}"
            return shown.replace("\0", "\ufffd"), (Status.CAPTION_INVALID, reason)
    if not isinstance(value, str):
        kind = type(value).__name__
        return None, (Status.CAPTION_INVALID, f"must be text, got {kind} {str(value)[:40]!r}")
    problem = caption_problem(value, max_chars)
    if problem is not None:
        shown = value[:KEPT_CHARS].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        return shown, problem
    return value, None


def file_text(data: bytes) -> bytes:
    """A text file's caption: without a byte order mark and the line end that closes a file."""
    return data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
