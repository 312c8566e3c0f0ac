"""Pictures of strangers, decoded in processes that a picture may fill, stall or crash alone.

A few processes serve many pictures. Each picture has an allowance of memory by its size, all of
them together `DECODE_BYTES`, and a share of processor time; whatever its decoder does beyond that
is a row with a reason. The pixels come back through shared memory.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

from pipeline.images.decode import DecodedImage, ImageLimits, decode_image, image_size
from pipeline.images.decoder_child import Asked, DecoderChild, NoAnswer
from pipeline.images.decoder_messages import (
    KEPT_BYTES,
    MAX_PICTURES,
    Answer,
    NotAnAnswer,
    Request,
)
from schemas.errors import RecordError, RetryableError, reason_of
from schemas.records import Status

Picture = tuple[bytes, tuple[int, int]]
"""Encoded bytes, and (width, height) as `Decoder.size` said them."""
Outcome = DecodedImage | RecordError
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

    def decode_all(self, pictures: Sequence[Picture], limits: ImageLimits) -> list[Outcome]:
        """See `pipeline.images.decode.decode_image`; a picture that cannot be decoded is its error.

        Raises:
            RetryableError, ConfigError: nothing can be decoded here.
        """
        ...


class InProcess:
    """Decodes where it is called: for pictures that one trusts, and for tests."""

    def size(self, data: bytes, limits: ImageLimits) -> tuple[int, int]:
        """See `Decoder`."""
        return image_size(data, limits)

    def decode_all(self, pictures: Sequence[Picture], limits: ImageLimits) -> list[Outcome]:
        """See `Decoder`."""
        return [_outcome(partial(decode_image, data, limits)) for data, _ in pictures]


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
        self._free: queue.LifoQueue[DecoderChild] = queue.LifoQueue()
        self._may_start = threading.Semaphore(number)
        self._starting = threading.Lock()
        self._memory = _Memory(total_bytes)
        self._cpu_s = cpu_s

    def size(self, data: bytes, limits: ImageLimits) -> tuple[int, int]:
        """See `Decoder`. Headers of the plain formats are read here: nothing in them is large."""
        if not data or _pixel_bytes(data) != _PIXEL_BYTES:
            return image_size(data, limits)
        total = self._memory.total
        asked = self._ask_alone(data, limits, total, only_size=True)
        answer = _require(asked, total).answer
        return answer.width, answer.height

    def decode_all(self, pictures: Sequence[Picture], limits: ImageLimits) -> list[Outcome]:
        """See `Decoder`. Small pictures share a request. One that does not fit there or needs more
        memory is asked for again alone, as is each of a request that ends its process."""
        found: list[Outcome] = []
        for group in _groups(pictures):
            asked = self._ask_group(group, limits) if len(group) > 1 else [None]
            for picture, one in zip(group, asked, strict=True):
                found.append(_outcome(partial(self._settle, picture, limits, one)))
        return found

    def _settle(self, picture: Picture, limits: ImageLimits, asked: Asked | None) -> DecodedImage:
        data, total = picture[0], self._memory.total
        allowance = min(_wanted(*picture), total)
        if asked is None or not asked.answer.has_room:
            asked = self._ask_alone(data, limits, allowance)
        if allowance < total and _needs_memory(asked.answer, data):
            allowance = total
            asked = self._ask_alone(data, limits, allowance)
        answer, pixels = _require(asked, allowance)
        return DecodedImage(
            array=pixels, width=answer.width, height=answer.height, sha256=answer.sha256
        )

    def _ask_group(
        self, group: Sequence[Picture], limits: ImageLimits
    ) -> Sequence[Asked] | Sequence[None]:
        wanted = tuple(min(_wanted(*picture), self._memory.total) for picture in group)
        request = Request(
            only_size=False,
            num_bytes=tuple(len(data) for data, _ in group),
            allowances=wanted,
            limits=limits,
            cpu_s=self._cpu_s,
        )
        try:
            return self._ask(request, [data for data, _ in group])
        except (_Ended, NoAnswer):
            return [None] * len(group)

    def _ask_alone(
        self, data: bytes, limits: ImageLimits, allowance: int, *, only_size: bool = False
    ) -> Asked:
        request = Request(
            only_size=only_size,
            num_bytes=(len(data),),
            allowances=(allowance,),
            limits=limits,
            cpu_s=self._cpu_s,
        )
        for _ in range(MAX_DEATHS):
            try:
                (asked,) = self._ask(request, [data])
            except NoAnswer as error:  # once is enough: it takes long
                raise RecordError(Status.IMAGE_CORRUPT, f"its decoder gives {error}") from error
            except _Ended as ended:
                last = ended
                if ended.code != -signal.SIGPROF:
                    continue
                detail = f"decoding takes more than {self._cpu_s:g} s of processor time"
                raise RecordError(Status.IMAGE_CORRUPT, detail) from ended
            return asked
        raise RecordError(Status.IMAGE_CORRUPT, f"its decoder {last.how}") from last

    def _ask(self, request: Request, pictures: Sequence[bytes]) -> list[Asked]:
        allowance = max(request.allowances)
        self._memory.take(allowance)
        try:
            child = self._take_child()
            try:
                asked = child.ask(request, pictures)
            except BaseException as error:
                code = child.end()
                self._may_start.release()
                if isinstance(error, EOFError | OSError):
                    raise _Ended(code, _crash(code)) from error
                if isinstance(error, NotAnAnswer):
                    raise _Ended(code, f"answered twice what is not an answer: {error}") from error
                raise
            self._free.put(child)
            return asked
        finally:
            self._memory.give(allowance)

    def _take_child(self) -> DecoderChild:
        while True:  # a process that others wait for may die without being given back
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=GROW_S)
            if self._starting.acquire(blocking=False):  # one at a time: it may be enough for all
                try:
                    if self._may_start.acquire(blocking=False):
                        return self._new_child()
                finally:
                    self._starting.release()

    def _new_child(self) -> DecoderChild:
        try:
            return DecoderChild()
        except OSError as error:
            self._may_start.release()
            raise RetryableError(
                f"no process can be started to decode: {reason_of(error)}"
            ) from error


class _Ended(Exception):
    """A decoder's process ended while it worked, with this exit code; `how` says what it did."""

    def __init__(self, code: int, how: str) -> None:
        super().__init__(code, how)
        self.code = code
        self.how = how


def _crash(code: int) -> str:
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return f"crashed twice ({how})"


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


def _pixel_bytes(data: bytes) -> int:
    return next((n for start, n in _PLAIN.items() if data.startswith(start)), _PIXEL_BYTES)


def _wanted(data: bytes, size_wh: tuple[int, int]) -> int:
    """Bytes that decoding may take."""
    return SLACK_BYTES + 4 * len(data) + _pixel_bytes(data) * size_wh[0] * size_wh[1]


def _groups(pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
    """Pictures whose bytes and whose pixels fit into the memory that a process keeps."""
    group: list[Picture] = []
    num_bytes = num_pixels = 0
    for data, (width, height) in pictures:
        num_bytes += len(data)
        num_pixels += width * height
        if len(group) == MAX_PICTURES or (group and max(num_bytes, 3 * num_pixels) > KEPT_BYTES):
            yield group
            group, num_bytes, num_pixels = [], len(data), width * height
        group.append((data, (width, height)))
    if group:
        yield group


def _needs_memory(answer: Answer, data: bytes) -> bool:
    """Whether a failure may be one of memory: the plain formats say so."""
    return answer.may_be_memory and (
        _pixel_bytes(data) == _PIXEL_BYTES
        or (answer.failure is not None and answer.failure[0] == Status.IMAGE_TOO_LARGE)
    )


def _require(asked: Asked, allowance: int) -> Asked:
    if asked.answer.failure is None:
        return asked
    status, detail = asked.answer.failure
    if asked.answer.may_be_memory and status == Status.IMAGE_TOO_LARGE:
        detail = f"decoding needs more than {allowance / 2**20:,.0f} MiB of memory"
    raise RecordError(status, detail)


def _outcome(decode: Callable[[], DecodedImage]) -> Outcome:
    try:
        return decode()
    except RecordError as error:
        return error
