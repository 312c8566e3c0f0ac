"""What a command prints moves no cursor, sets no title and hides nothing, whatever it quotes.

Captions, ids, file names and what others wrote into a run reach the terminal in many sentences.
Each of those is cleaned where it is made (`schemas.redaction.shown`); this is the net below.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import IO, Any

# C0 and C1 controls but tab and newline, and what turns the direction of the text that follows.
_CONTROL = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_COLOUR = r"\x1b\[[0-9;]*m"
_PLAIN = re.compile(f"(?P<coloured>{_COLOUR})|{_CONTROL}")
# How rich draws: colours, links, the cursor up or hidden, a line cleared.
_DRAWN = re.compile(
    rf"(?P<drawn>{_COLOUR}|\x1b\[(?:[0-9]+A|[12]K|\?25[lh])|\r|\x1b\]8;[^\x00-\x1f]*\x1b\\)"
    f"|{_CONTROL}"
)
# Bars of other libraries (tqdm, eta) begin what they write at the line's begin, or only go up.
_UP = re.compile(r"(\x1b\[[0-9]*A)+")
# In data that goes elsewhere than to a terminal, line ends and directions are part of a text.
_DATA = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class SafeOutput:
    """A text stream that writes control characters out, as `\\x1b`; else the stream itself.

    Colours pass to a terminal and are left out elsewhere: Ray's lines have them.
    """

    def __init__(self, stream: IO[str], pattern: re.Pattern[str] = _PLAIN) -> None:
        self._stream = stream
        self._pattern = pattern
        self.is_broken = False
        """The reader of this pipe left: rich ends the program then, by an exit code of its own."""

    def write(self, text: str) -> int:
        """Write it; returns how many characters of `text` were taken: all."""
        try:
            self._stream.write(text if text.isprintable() or text == "\n" else self._said(text))
        except BrokenPipeError:
            self.is_broken = True
            raise
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self.is_broken = True
            raise

    def writelines(self, lines: Iterator[str]) -> None:
        """As of any stream."""
        for line in lines:
            self.write(line)

    @property
    def rich_proxied_file(self) -> IO[str]:
        """Where rich writes, which moves the cursor itself on a terminal."""
        return terminal_of(self)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _said(self, text: str) -> str:
        if _UP.fullmatch(text):
            return text if self._stream.isatty() else ""
        if text[0] == "\r":
            end = "\r" if text[1:].endswith("\r") else ""
            return "\r" + self._pattern.sub(self._shown, text.strip("\r")) + end
        return self._pattern.sub(self._shown, text)

    def _shown(self, found: re.Match[str]) -> str:
        if found.lastgroup == "drawn":
            return found[0]
        if found.lastgroup == "coloured":
            return found[0] if self._stream.isatty() else ""
        # Above ASCII in the form that JSON has too: a printed object keeps its meaning.
        code = ord(found[0])
        return f"\\x{code:02x}" if code < 0x7F else f"\\u{code:04x}"


def terminal_of(stream: IO[str]) -> IO[str]:
    """A stream for what draws: on a terminal its sequences pass."""
    stream = _below_bars(stream)
    if isinstance(stream, SafeOutput) and stream.isatty():
        return SafeOutput(stream._stream, _DRAWN)  # type: ignore[return-value]
    return stream


def data_of(stream: IO[str]) -> IO[str]:
    """A stream for data that has no other form for a line end, as CSV; a terminal's stays."""
    stream = _below_bars(stream)
    if isinstance(stream, SafeOutput) and not stream.isatty():
        return SafeOutput(stream._stream, _DATA)  # type: ignore[return-value]
    return stream


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """Print safely while in the block, to stdout and stderr; one that is closed stays so."""
    with contextlib.ExitStack() as stack:
        if sys.stdout is not None and not isinstance(_below_bars(sys.stdout), SafeOutput):
            stack.enter_context(contextlib.redirect_stdout(SafeOutput(sys.stdout)))
        if sys.stderr is not None and not isinstance(_below_bars(sys.stderr), SafeOutput):
            stack.enter_context(contextlib.redirect_stderr(SafeOutput(sys.stderr)))
        yield


def _below_bars(stream: IO[str]) -> IO[str]:
    """The stream that rich has put itself in the place of, while a bar is up."""
    while not isinstance(stream, SafeOutput) and hasattr(stream, "rich_proxied_file"):
        stream = stream.rich_proxied_file
    return stream
