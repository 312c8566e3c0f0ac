"""Pictures of strangers, decoded in processes that a picture may fill, stall or crash alone.

A few processes serve many pictures. Each picture has an allowance of memory by its size, all of
them together `DECODE_BYTES`, and a share of processor time; whatever its decoder does beyond that
is a row with a reason. The pixels come back through shared memory.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import DecodedImage, ImageLimits, decode_image, image_size
from pipeline.images.decoder_process import KEPT_BYTES, MAX_MESSAGE, READY, Answer, Request
from schemas.errors import RecordError, RetryableError
from schemas.records import Status

DECODE_BYTES = 1_536 * 2**20
"""Of all pictures together that are decoded at one time."""
CPU_S = 60.0
"""Processor time of one picture; the largest that are decoded take a tenth of it."""
SLACK_BYTES = 96 * 2**20
GROW_S = 0.02
"""A picture that waits for longer gets a new process, while there may be more."""
MAX_DEATHS = 2
"""Processes that a picture may lose: the first may have died of something else."""
_PLAIN = {b"\xff\xd8\xff": 18, b"\x89PNG": 14, b"GIF8": 14, b"BM": 14}
"""How files of the plain formats begin -> bytes that decoding takes for each pixel, at most."""
_PIXEL_BYTES = 32


class Decoder(Protocol):
    """Turns encoded bytes into pixels. Safe to call from several threads."""

    def size(self, data: bytes, limits: ImageLimits) -> tuple[int, int]:
        """See `pipeline.images.decode.image_size`."""
        ...

    def decode(self, data: bytes, limits: ImageLimits, size_wh: tuple[int, int]) -> DecodedImage:
        """See `pipeline.images.decode.decode_image`; `size_wh` is what `size` said."""
        ...


class InProcess:
    """Decodes where it is called: for pictures that one trusts, and for tests."""

    def size(self, data: bytes, limits: ImageLimits) -> tuple[int, int]:
        """See `Decoder`."""
        return image_size(data, limits)

    def decode(self, data: bytes, limits: ImageLimits, size_wh: tuple[int, int]) -> DecodedImage:
        """See `Decoder`."""
        return decode_image(data, limits)


class DecoderProcesses:
    """Up to `number` processes, started when they are needed; they end with this object.

    Args:
        number: of processes.
        total_bytes: that all pictures together may take while they are decoded.
        cpu_s: seconds of processor time for a picture.
    """

    def __init__(
        self, number: int, *, total_bytes: int = DECODE_BYTES, cpu_s: float = CPU_S
    ) -> None:
        self._free: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._may_start = threading.Semaphore(number)
        self._starting = threading.Lock()
        self._memory = _Memory(total_bytes)
        self._cpu_s = cpu_s

    def size(self, data: bytes, limits: ImageLimits) -> tuple[int, int]:
        """See `Decoder`. Headers of the plain formats are read here: nothing in them is large."""
        if not data or _pixel_bytes(data) != _PIXEL_BYTES:
            return image_size(data, limits)
        answer, _ = self._ask(data, limits, self._memory.total, only_size=True)
        return answer.width, answer.height

    def decode(self, data: bytes, limits: ImageLimits, size_wh: tuple[int, int]) -> DecodedImage:
        """See `Decoder`.

        Raises:
            RecordError: also where it takes too much memory or time, or ends its process.
            RetryableError: no process can be started.
        """
        per_pixel = _pixel_bytes(data)
        wanted = SLACK_BYTES + 4 * len(data) + per_pixel * size_wh[0] * size_wh[1]
        try:
            answer, pixels = self._ask(data, limits, min(wanted, self._memory.total))
        except _Refused as refused:
            if wanted >= self._memory.total or not (
                refused.status == Status.IMAGE_TOO_LARGE or per_pixel == _PIXEL_BYTES
            ):
                raise
            answer, pixels = self._ask(data, limits, self._memory.total)
        return DecodedImage(
            array=pixels, width=answer.width, height=answer.height, sha256=answer.sha256
        )

    def _ask(
        self, data: bytes, limits: ImageLimits, allowance: int, *, only_size: bool = False
    ) -> tuple[Answer, NDArray[np.uint8]]:
        request = Request(
            only_size=only_size,
            num_bytes=len(data),
            limits=limits,
            allowance=allowance,
            cpu_s=self._cpu_s,
        )
        for death in range(1, MAX_DEATHS + 1):
            self._memory.take(allowance)
            try:
                child = self._take_child()
                try:
                    answer, pixels = child.ask(request, data)
                except (EOFError, OSError):
                    self._bury(child, is_last=death == MAX_DEATHS)
                    continue
                except BaseException:
                    self._bury(child, is_last=False)
                    raise
                self._free.put(child)
            finally:
                self._memory.give(allowance)
            if answer.failure is not None:
                status, detail = answer.failure
                if answer.may_be_memory:
                    if status == Status.IMAGE_TOO_LARGE:
                        detail = f"decoding needs more than {allowance / 2**20:,.0f} MiB of memory"
                    raise _Refused(status, detail)
                raise RecordError(status, detail)
            return answer, pixels
        raise AssertionError("unreachable: the last death raises")

    def _take_child(self) -> _Child:
        while True:  # a process that others wait for may die without being given back
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=GROW_S)
            if self._starting.acquire(blocking=False):  # one at a time: it may be enough for all
                try:
                    if self._may_start.acquire(blocking=False):
                        return self._new_child()
                finally:
                    self._starting.release()

    def _new_child(self) -> _Child:
        try:
            return _Child()
        except OSError as error:
            self._may_start.release()
            raise RetryableError(f"no process can be started to decode: {error}") from error

    def _bury(self, child: _Child, *, is_last: bool) -> None:
        code = child.end()
        self._may_start.release()
        if code == -signal.SIGPROF:
            detail = f"decoding takes more than {self._cpu_s:g} s of processor time"
            raise RecordError(Status.IMAGE_CORRUPT, detail)
        if is_last:
            how = f"signal {-code}" if code < 0 else f"code {code}"
            raise RecordError(Status.IMAGE_CORRUPT, f"its decoder crashed twice ({how})")


class _Refused(RecordError):
    """A decoder failed; with more memory it might not have."""


class _Memory:
    """Bytes that are promised to pictures; who asks waits until they are there."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._changed = threading.Condition()

    def take(self, num_bytes: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= num_bytes)
            self._free -= num_bytes

    def give(self, num_bytes: int) -> None:
        with self._changed:
            self._free += num_bytes
            self._changed.notify_all()


class _Child:
    """One decoder process, and the memory that is shared with it."""

    def __init__(self) -> None:
        self._memory = _anonymous_file()
        self._channel, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        words = ["-P", "-m", "pipeline.images.decoder_process", str(far.fileno())]
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
        if self._channel.recv(MAX_MESSAGE) != READY:
            raise OSError(f"its process ended with code {self.end()}")

    def ask(self, request: Request, data: bytes) -> tuple[Answer, NDArray[np.uint8]]:
        """The answer and, of a picture that was decoded, its pixels.

        Raises:
            EOFError, OSError: the process ended.
        """
        view, position = memoryview(data), 0
        while position < len(data):
            position += os.pwrite(self._memory, view[position:], position)
        self._channel.sendall(pickle.dumps(request))
        message = self._channel.recv(MAX_MESSAGE)
        if not message:
            raise EOFError("the decoder's process ended")
        answer: Answer = pickle.loads(message)
        has_pixels = answer.failure is None and not request.only_size
        shape = (answer.height, answer.width, 3) if has_pixels else (0, 0, 3)
        pixels = np.empty(shape, np.uint8)
        flat, position = memoryview(pixels.reshape(-1).data), 0
        while position < len(flat):
            if not (count := os.preadv(self._memory, [flat[position:]], position)):
                raise EOFError("the shared memory is shorter than the pixels")
            position += count
        if max(len(data), len(flat)) > KEPT_BYTES:
            os.ftruncate(self._memory, 0)
        return answer, pixels

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


def _pixel_bytes(data: bytes) -> int:
    return next((n for start, n in _PLAIN.items() if data.startswith(start)), _PIXEL_BYTES)
