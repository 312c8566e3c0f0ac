"""The child that decodes pictures of strangers, within a limit of memory and of time.

`python -P -m pipeline.images.decoder_process SOCKET MEMORY`, two open descriptors. A request on the
socket names the length of the encoded image, which lies at the beginning of the shared memory; the
pixels take its place there, and the answer on the socket says their size, or the reason why not.

The kernel holds the limits: an allocation beyond the address space fails, and the processor's clock
ends the process, also in the midst of a decoder. It ends when its parent does.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import resource
import signal
import socket
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import ImageLimits, decode_image, image_size
from schemas.errors import RecordError
from schemas.records import Status

READY = b"ready"
"""What a process says first: it has loaded what it needs."""
KEPT_BYTES = 16 * 2**20
"""Of shared memory between two pictures: fresh pages cost as much as small pictures."""
MAX_MESSAGE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One picture.

    only_size: its header is read, no pixel.
    num_bytes: of the encoded image.
    allowance: bytes that decoding may take besides what the process has; 0: as many as it likes.
    cpu_s: seconds of processor time.
    """

    only_size: bool
    num_bytes: int
    limits: ImageLimits
    allowance: int
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of it.

    width, height: upright; zero where it failed.
    failure: status and detail.
    may_be_memory: a failure that more memory could have prevented.
    """

    width: int = 0
    height: int = 0
    sha256: str = ""
    failure: tuple[str, str] | None = None
    may_be_memory: bool = False


class SharedPixels:
    """The shared memory as this process sees it: encoded bytes first, then pixels."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept: mmap.mmap | None = None

    def encoded(self, size: int) -> bytes:
        """The picture as its file has it."""
        parts: list[bytes] = []
        while (position := sum(map(len, parts))) < size:
            part = os.pread(self._descriptor, size - position, position)
            if not part:
                raise EOFError("the shared memory is shorter than the picture")
            parts.append(part)
        if size > KEPT_BYTES:
            os.ftruncate(self._descriptor, 0)
            self._kept = None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def new_array(self, height: int, width: int) -> NDArray[np.uint8]:
        """Where pixels go."""
        size = height * width * 3
        if self._kept is None or os.fstat(self._descriptor).st_size < KEPT_BYTES:
            os.ftruncate(self._descriptor, KEPT_BYTES)
            self._kept = mmap.mmap(self._descriptor, KEPT_BYTES)
        memory = self._kept
        if size > KEPT_BYTES:
            os.ftruncate(self._descriptor, size)
            memory = mmap.mmap(self._descriptor, size)
        return np.frombuffer(memory, np.uint8, size).reshape(height, width, 3)


def main() -> None:
    """Answer until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    one_thread()
    channel = socket.socket(fileno=int(sys.argv[1]))
    pixels = SharedPixels(int(sys.argv[2]))
    channel.sendall(READY)
    while message := channel.recv(MAX_MESSAGE):
        request: Request = pickle.loads(message)
        signal.setitimer(signal.ITIMER_PROF, request.cpu_s)  # its signal ends the process
        allow(request.allowance)
        answer = answer_to(request, pixels)
        signal.setitimer(signal.ITIMER_PROF, 0)
        allow(0)
        try:
            channel.sendall(pickle.dumps(answer))
        except BrokenPipeError:
            return


def answer_to(request: Request, pixels: SharedPixels) -> Answer:
    """Decode, or say why not."""
    try:
        data = pixels.encoded(request.num_bytes)
        if request.only_size:
            width, height = image_size(data, request.limits)
            return Answer(width=width, height=height)
        found = decode_image(data, request.limits, pixels.new_array)
        return Answer(width=found.width, height=found.height, sha256=found.sha256)
    except RecordError as error:
        tried = isinstance(error.__cause__, Exception)  # a decoder's word, not our own check's
        return Answer(failure=(error.status, error.detail), may_be_memory=tried)
    except MemoryError:
        detail = "reading it needs more memory than is allowed"
        return Answer(failure=(Status.IMAGE_TOO_LARGE, detail), may_be_memory=True)


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
    from pipeline.images.decoder_process import main as named_main  # whose answers have its name

    named_main()
