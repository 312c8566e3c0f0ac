"""Reading a file of our own that may be damaged: whatever goes wrong names it and the way out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from schemas.errors import DataError, GlipforgeError

_SHOWN = 300


@contextmanager
def whole(where: str, way_out: str, *, error: type[GlipforgeError] = DataError) -> Iterator[None]:
    """Turn what parsing a damaged file raises into one sentence.

    Args:
        where: The file.
        way_out: What a user does about it.
        error: What is raised.

    Raises:
        GlipforgeError: of class `error`, or as the block raised it. What the file system says
            (an `OSError` with an `errno`) is not damage and passes.
    """
    try:
        yield
    except GlipforgeError:
        raise
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno is not None:
            raise
        # UnicodeDecodeError, RecursionError, KeyError, OverflowError, Arrow's own, and others.
        said = f"{type(problem).__name__}: {problem}"[:_SHOWN]
        raise error(f"{where} is damaged ({said}); {way_out}") from problem
