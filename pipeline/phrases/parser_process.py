"""Phrases from a process of their own: beside the teacher, not in the way of it.

The parser needs Python's lock nearly all the time that it works, and a teacher that shares the
lock stands still meanwhile. The other process has its own. A caption that ends the parser costs
only itself: the process is started again, and `pairs` asks for the captions one by one.

`python -P -m pipeline.phrases.parser_process` is the child: pickled requests on its standard input,
answers on its standard output. It ends when the input does, so it never outlives its parent. The
child of a `ProcessPoolExecutor` is left behind where the parent is killed, what libraries print in
it comes out of the command, and one that dies breaks its pool for good.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import IO, Any

from pipeline.phrases.extract import PhraseExtractor, PhraseOptions
from schemas.errors import GlipforgeError
from schemas.records import Phrase


class ParserDied(GlipforgeError):
    """The parser's process ended while it worked."""


class PhraseProcess:
    """A `PhraseExtractor` in another process. Safe to call from several threads.

    It loads at once, beside whatever this process does; the first call waits for it.
    """

    def __init__(self, options: PhraseOptions | None = None) -> None:
        self.options = options or PhraseOptions()
        self._lock = threading.Lock()
        self._start()

    def fingerprint(self) -> dict[str, object]:
        """See `PhraseExtractor.fingerprint`.

        Raises:
            MissingDependency, ConfigError: see `PhraseExtractor`.
        """
        return dict(self._ask("fingerprint"))

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """See `PhraseExtractor.extract`.

        Raises:
            ParserDied: one of the captions ended the process; there is a new one.
            RecordError: CAPTION_INVALID, a caption is not valid Unicode text.
        """
        return list(self._ask("extract", list(captions)))

    def _start(self) -> None:
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pipeline.phrases.parser_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self._end = weakref.finalize(self, _end, self._child)
        with contextlib.suppress(BrokenPipeError):  # the first question meets the reason
            _send(self._child.stdin, self.options)

    def _ask(self, method: str, *args: object) -> Any:
        with self._lock:
            try:
                _send(self._child.stdin, (method, args))
                kind, answer = pickle.load(self._child.stdout)  # type: ignore[arg-type]
            except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
                self._end()
                code = self._child.returncode
                self._start()
                raise ParserDied(f"the parser's process ended (code {code})") from error
        if kind == "error":
            raise answer
        return answer


def _send(stream: IO[bytes] | None, message: object) -> None:
    # Whole in memory first: what cannot be pickled must not leave half a message behind.
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(data)  # type: ignore[union-attr]
    stream.flush()  # type: ignore[union-attr]


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()  # type: ignore[union-attr]
    child.wait()
    child.stdout.close()  # type: ignore[union-attr]


# --- the child ---------------------------------------------------------------------------------


def main() -> None:
    """Load, then answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the answers
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    extractor: PhraseExtractor | Exception
    try:
        extractor = PhraseExtractor(requests.get())
    except Exception as error:  # every question is answered by it
        extractor = error
    while True:
        method, args = requests.get()
        try:
            if isinstance(extractor, Exception):
                raise extractor
            reply = ("answer", getattr(extractor, method)(*args))
        except Exception as error:  # the parent raises it
            reply = ("error", _sendable(error))
        _send(answers, reply)


def _read(stream: IO[bytes], requests: queue.SimpleQueue[Any]) -> None:
    """In a thread of its own, so that the parent's end is noticed during the longest parse."""
    try:
        while True:
            requests.put(pickle.load(stream))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever it is made of, its text says what it was
        return GlipforgeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main()
