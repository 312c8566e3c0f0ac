"""The child that decodes pictures of strangers, within a limit of memory and of time.

`python -P -m pipeline.images.decoder_process SOCKET MEMORY`, two open descriptors. A request on the
socket names the lengths of a few encoded images, which lie one after another at the beginning of
the shared memory; their pixels take that place, and the answer on the socket says the size of each,
or the reason why not. A message wakes a process and makes the other wait for Python's lock, so that
small pictures share one.

The kernel holds the limits: an allocation beyond the address space fails, and the processor's clock
ends the process, also in the midst of a decoder. It ends when its parent does.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import decode_image, image_size
from pipeline.images.decoder_messages import (
    KEPT_BYTES,
    MAX_MESSAGE,
    Answer,
    Request,
    encode_answers,
)
from schemas.errors import RecordError
from schemas.records import Status

READY = b"ready"
"""What a process says first: it has loaded what it needs."""
TOO_LARGE = Answer(
    failure=(Status.IMAGE_TOO_LARGE, "reading it needs more memory than is allowed"),
    may_be_memory=True,
)


class SharedPixels:
    """The shared memory as this process sees it: encoded bytes first, then pixels."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept: mmap.mmap | None = None
        self._used = 0
        self.had_room = True

    def encoded(self, sizes: Sequence[int]) -> list[bytes]:
        """The pictures as their files have them; pixels go to the beginning again."""
        found = [self._read(size, sum(sizes[:place])) for place, size in enumerate(sizes)]
        if sum(sizes) > KEPT_BYTES:
            os.ftruncate(self._descriptor, 0)
            self._kept = None
        self._used = 0
        return found

    def _read(self, size: int, start: int) -> bytes:
        parts: list[bytes] = []
        while (done := sum(map(len, parts))) < size:
            part = os.pread(self._descriptor, size - done, start + done)
            if not part:
                raise EOFError("the shared memory is shorter than the picture")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def new_array(self, height: int, width: int) -> NDArray[np.uint8]:
        """Where pixels go: behind those before; elsewhere where `had_room` is False then."""
        size, start = height * width * 3, self._used
        self.had_room = start == 0 or start + size <= KEPT_BYTES
        if not self.had_room:
            return np.empty((height, width, 3), np.uint8)
        if self._kept is None or os.fstat(self._descriptor).st_size < KEPT_BYTES:
            os.ftruncate(self._descriptor, KEPT_BYTES)
            self._kept = mmap.mmap(self._descriptor, KEPT_BYTES)
        memory = self._kept
        if size > KEPT_BYTES:
            os.ftruncate(self._descriptor, size)
            memory = mmap.mmap(self._descriptor, size)
        return np.frombuffer(memory, np.uint8, size, start).reshape(height, width, 3)

    def keep(self, height: int, width: int) -> None:
        """The pixels of the last array stay; the next ones go behind them."""
        self._used += height * width * 3


def main() -> None:
    """Answer until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    one_thread()
    channel = socket.socket(fileno=int(sys.argv[1]))
    pixels = SharedPixels(int(sys.argv[2]))
    channel.sendall(READY)
    while message := channel.recv(MAX_MESSAGE):
        answers = answers_to(Request.decode(message), pixels)
        signal.setitimer(signal.ITIMER_PROF, 0)
        allow(0)
        try:
            channel.sendall(encode_answers(answers))
        except BrokenPipeError:
            return


def answers_to(request: Request, pixels: SharedPixels) -> list[Answer]:
    """One a picture, each within its own limits."""
    signal.setitimer(signal.ITIMER_PROF, request.cpu_s)  # its signal ends the process
    allow(request.allowances[0])
    try:
        encoded = pixels.encoded(request.num_bytes)
    except MemoryError:
        return [TOO_LARGE for _ in request.num_bytes]
    answers = [answer_to(request, encoded[0], pixels)]
    for data, allowance in zip(encoded[1:], request.allowances[1:], strict=True):
        signal.setitimer(signal.ITIMER_PROF, request.cpu_s)
        allow(allowance)
        answers.append(answer_to(request, data, pixels))
    return answers


def answer_to(request: Request, data: bytes, pixels: SharedPixels) -> Answer:
    """Decode, or say why not."""
    try:
        if request.only_size:
            width, height = image_size(data, request.limits)
            return Answer(width=width, height=height)
        found = decode_image(data, request.limits, pixels.new_array)
        if not pixels.had_room:
            return Answer(has_room=False)
        pixels.keep(found.height, found.width)
        return Answer(width=found.width, height=found.height, sha256=found.sha256)
    except RecordError as error:
        tried = isinstance(error.__cause__, Exception)  # a decoder's word, not our own check's
        return Answer(failure=(error.status, error.detail), may_be_memory=tried)
    except MemoryError:
        return TOO_LARGE


def allow(num_bytes: int) -> None:
    """Let the address space grow by so many bytes from now; 0: without a limit."""
    limit = resource.RLIM_INFINITY
    if num_bytes:
        try:
            with open("/proc/self/statm", "rb") as stream:
                limit = int(stream.read().split()[0]) * mmap.PAGESIZE + num_bytes
        except OSError:
            return  # another system than Linux: the clock alone
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = hard if limit == resource.RLIM_INFINITY else min(limit, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def one_thread() -> None:
    """Decoders that would start threads of their own, each with its stack and heap."""
    with contextlib.suppress(ImportError):
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1


if __name__ == "__main__":
    main()
