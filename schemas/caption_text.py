"""Which captions can be parsed and written: the one check, with one sentence for each reason."""

from __future__ import annotations

from schemas.records import Status

Problem = tuple[Status, str]


def caption_problem(text: str | None, max_chars: int) -> Problem | None:
    """Why a caption cannot be used; None where it can."""
    if text is None:
        return (Status.CAPTION_MISSING, "there is no caption")
    if not text or text.isspace():
        return (Status.CAPTION_MISSING, "the caption is blank")
    if len(text) > max_chars:
        return (
            Status.CAPTION_INVALID,
            f"{len(text):,} characters; at most {max_chars:,} are labelled (--max-caption-chars)",
        )
    if "\0" in text:
        return (Status.CAPTION_INVALID, f"a NUL character at {text.index(chr(0))}")
    return unicode_problem(text)


def unicode_problem(text: str) -> Problem | None:
    """Why text is not valid Unicode; None where it is."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if "\udc80" <= (mark := text[error.start]) <= "\udcff":  # a byte that was not UTF-8
            reason = f"not UTF-8: byte 0x{ord(mark) - 0xDC00:02x} at character {error.start}"
            return (Status.CAPTION_INVALID, reason)
        return (Status.CAPTION_INVALID, f"half a surrogate pair at {error.start}")
    return None
