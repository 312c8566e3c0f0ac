"""One decoder process as its parent sees it: `pipeline.images.decoder_process` is the child."""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decoder_messages import (
    KEPT_BYTES,
    MAX_MESSAGE,
    Answer,
    Request,
    decode_answers,
)
from pipeline.images.decoder_process import READY

PROGRAM = "pipeline.images.decoder_process"
LOOK_S = 5.0
"""A message is waited for in pieces of so many seconds."""
START_S = 300.0
WAIT = 5
"""Times the processor time of a picture that its answer may take, on a busy machine."""


class Asked(NamedTuple):
    """What became of a picture."""

    answer: Answer
    pixels: NDArray[np.uint8]
    """[height, width, 3]; [0, 0, 3] where it was not decoded. Pictures of one request share one
    piece of memory."""


class NoAnswer(Exception):
    """The process lives and says nothing for so many seconds."""


class DecoderChild:
    """One decoder process, and the memory that is shared with it."""

    def __init__(self) -> None:
        self._memory = _anonymous_file()
        self._channel, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        words = ["-P", "-m", PROGRAM, str(far.fileno())]
        with far:
            self._process = subprocess.Popen(
                [sys.executable, *words, str(self._memory)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # whatever a library prints
                pass_fds=(far.fileno(), self._memory),
                env=os.environ
                | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
                | {"MALLOC_ARENA_MAX": "1"},
            )
        self._end = weakref.finalize(self, _end, self._channel, self._memory, self._process)
        self._channel.settimeout(LOOK_S)
        with contextlib.suppress(NoAnswer):
            if self._receive(START_S) == READY:
                return
        raise OSError(f"its process did not start, and ended with code {self.end()}")

    def ask(self, request: Request, pictures: Sequence[bytes]) -> list[Asked]:
        """An answer for each picture and, of one that was decoded, its pixels.

        Raises:
            EOFError, OSError: the process ended.
            NotAnAnswer, NoAnswer: it is not to be used any more.
        """
        encoded = pictures[0] if len(pictures) == 1 else b"".join(pictures)
        view, position = memoryview(encoded), 0
        while position < len(encoded):
            position += os.pwrite(self._memory, view[position:], position)
        self._channel.sendall(request.encode())
        message = self._receive(WAIT * request.cpu_s * len(pictures))
        if not message:
            raise EOFError("the decoder's process ended")
        answers = decode_answers(message, request)
        shapes = [
            (0, 0, 3) if request.only_size else (answer.height, answer.width, 3)
            for answer in answers
        ]
        ends = list(itertools.accumulate(math.prod(shape) for shape in shapes))
        pixels = _room(ends[-1])
        flat, position = memoryview(pixels.data), 0
        while position < len(flat):
            if not (count := os.preadv(self._memory, [flat[position:]], position)):
                raise EOFError("the shared memory is shorter than the pixels")
            position += count
        if max(len(encoded), len(flat)) > KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        arrays = np.split(pixels, ends[:-1])
        return [
            Asked(answer, array.reshape(shape))
            for answer, array, shape in zip(answers, arrays, shapes, strict=True)
        ]

    def _receive(self, seconds: float) -> bytes:
        """Its next message. Looks are counted, not the clock: this process may be stopped too."""
        for _ in range(math.ceil(seconds / LOOK_S)):
            with contextlib.suppress(TimeoutError):
                return self._channel.recv(MAX_MESSAGE)
        raise NoAnswer(f"no answer for {seconds:g} s")

    def end(self) -> int:
        """End the process; returns its exit code."""
        if self._process.poll() is None:
            self._channel.close()  # one that has not seen our end yet ends by it
            try:
                self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._end()
        return int(self._process.wait())


def _room(count: int) -> NDArray[np.uint8]:
    """For so many bytes; large ones go back to the system at once, whatever malloc is told."""
    if count <= KEPT_BYTES:
        return np.empty(count, np.uint8)
    return np.frombuffer(mmap.mmap(-1, count), np.uint8)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("glipforge-pixels", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())


def _end(channel: socket.socket, memory: int, process: subprocess.Popen[bytes]) -> None:
    channel.close()
    os.close(memory)
    process.kill()
    process.wait()
