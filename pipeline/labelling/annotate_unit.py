"""The pure unit function: records in, one annotation per record out, whatever happens to a record.

    records -> windows -> phrases -> calls of similar size -> decode (threads) -> teacher -> rows

It knows no Ray and no files of a run, so that every runner and every test calls the same code.
The rows depend on the unit, the teacher and the limits alone, not on threads or timing.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from pipeline.images.decoders import Decoder
from pipeline.labelling.decode_pairs import DecodedPairs, decode_pairs, parts_of
from pipeline.labelling.held_bytes import HeldBytes, UnitBytes
from pipeline.labelling.pairs import (
    IN_PROCESS,
    CaptionParser,
    Pair,
    PairLimits,
    Seconds,
    extract_window,
    read_windows,
)
from pipeline.labelling.retries import Retries
from pipeline.labelling.rows import answered_row, failed_row
from schemas.errors import ConfigError, RecordError, RetryableError, UnitError
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.plan import BatchFailure
from schemas.records import Annotation, CorpusRecord, Status
from schemas.spread import in_parts

MAX_CALL_PIXELS = 128_000_000
"""Of the images of one call together, and of those decoded ahead: three bytes each."""
MAX_WAITING_PIXELS = 64_000_000
"""Of images that a unit decodes while another one has the teacher."""
SizeKey = Callable[[tuple[int, int]], Hashable]
MakeRow = Callable[[Pair, Grounding, str], Annotation]
"""The row of a pair, an answer and the teacher's id."""


def aspect_key(size_wh: tuple[int, int]) -> Hashable:
    """Images of about the same shape, for a teacher that resizes the shorter side."""
    width, height = size_wh
    return round(8 * float(np.log2(width / height)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """How a unit is worked through. Only `limits` changes the rows."""

    limits: PairLimits = field(default_factory=PairLimits)
    call_size: int = 32
    """Images given to the teacher at once; it makes batches of them."""
    calls_ahead: int = 2
    """Calls whose images are decoded before the teacher asks for them."""
    size_key: SizeKey = aspect_key
    """(width, height) -> images with an equal key can share a batch."""

    def __post_init__(self) -> None:
        for name in ("call_size", "calls_ahead"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRows:
    """The rows of a unit in the order of its records, and where the time went."""

    rows: tuple[Annotation, ...]
    rows_in: int
    seconds: dict[str, float]
    batch_failures: tuple[BatchFailure, ...] = ()
    """Batches that failed as a whole and were asked again one pair at a time."""


def annotate_unit(
    records: Iterable[CorpusRecord],
    grounder: Grounder,
    parser: CaptionParser,
    options: AnnotateOptions,
    *,
    pool: Executor,
    turn: contextlib.AbstractContextManager[Any] | None = None,
    decoder: Decoder = IN_PROCESS,
    memory: HeldBytes | None = None,
    make_row: MakeRow = answered_row,
) -> UnitRows:
    """Label the records of a unit.

    Args:
        records: In the corpus's order.
        pool: Threads that fetch and decode.
        turn: Entered while the teacher is asked: a lock where units share it. Reading and
            decoding of this unit go on before, making rows after.
        decoder: Of the images; in processes of its own where they come from strangers.
        memory: That all units of a worker share for encoded images; None: this unit is alone.
        make_row: Makes the row of a pair that was answered.

    Raises:
        UnitError: the teacher fails on most of the unit: it is broken, not the records.
        RetryableError, ConfigError: a store failed or refused.
    """
    began = time.perf_counter()
    seconds, retries = Seconds(), Retries()
    rows: list[Annotation] = []
    with (memory or HeldBytes()).unit() as share:
        for window in read_windows(records, options.limits, pool, seconds, decoder, share):
            extract_window(window, parser, seconds, retries)
            asking = _Asking(grounder, options, pool, decoder, share, seconds, retries)
            answers = _ask(window, asking, turn)
            after = time.perf_counter()
            for pair in window:
                answer = answers.get(pair.ordinal)
                rows.append(
                    failed_row(pair, grounder.teacher_id)
                    if answer is None
                    else make_row(pair, answer, grounder.teacher_id)
                )
            seconds.add("rows", time.perf_counter() - after)
    seconds["total"] = time.perf_counter() - began
    return UnitRows(
        rows=tuple(rows),
        rows_in=len(rows),
        seconds=dict(seconds),
        batch_failures=retries.found(),
    )


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """Exceptions of the teacher that blame no record."""

    num_asked: int = 0
    num_failed: int = 0
    first: str = ""


@dataclass(frozen=True, slots=True)
class _Asking:
    """What a window is asked with."""

    grounder: Grounder
    options: AnnotateOptions
    pool: Executor
    decoder: Decoder
    share: UnitBytes
    seconds: Seconds
    retries: Retries


def _ask(
    window: Sequence[Pair],
    asking: _Asking,
    turn: contextlib.AbstractContextManager[Any] | None,
) -> dict[int, Grounding]:
    usable = [pair for pair in window if pair.failure is None]
    options, seconds = asking.options, asking.seconds
    calls = deque(plan_calls(usable, options))
    ahead: deque[tuple[list[Pair], list[Future[DecodedPairs]]]] = deque()
    how = (options.limits.image, asking.decoder, asking.share)

    def decode_ahead(most: int, *, is_waiting: bool = False) -> None:
        while calls and len(ahead) < options.calls_ahead:
            pixels = sum(_pixels(call) for call, _ in ahead) + _pixels(calls[0])
            if pixels > most and (ahead or is_waiting):
                return
            call = calls.popleft()
            futures = [asking.pool.submit(decode_pairs, part, *how) for part in parts_of(call)]
            ahead.append((call, futures))

    decode_ahead(MAX_WAITING_PIXELS, is_waiting=True)
    answers: dict[int, Grounding] = {}
    trouble = _Trouble()
    with turn or contextlib.nullcontext():
        decode_ahead(MAX_CALL_PIXELS)
        while ahead:
            call, futures = ahead.popleft()
            began = time.perf_counter()
            decoded = [future.result() for future in futures]
            seconds.add("wait", time.perf_counter() - began)
            seconds.add("decode", sum(part.seconds for part in decoded))
            for part in decoded:
                if part.failure is not None:
                    asking.retries.count("decode", len(part.images), part.failure)
            decode_ahead(MAX_CALL_PIXELS)
            began = time.perf_counter()
            requests = [
                (pair, GroundingRequest(image=image, caption=pair.caption, phrases=pair.phrases))
                for pair, image in zip(call, chain(*(d.images for d in decoded)), strict=True)
                if image is not None
            ]
            answers.update(_ground(requests, asking.grounder, trouble, asking.retries))
            seconds.add("teacher", time.perf_counter() - began)
            del requests, decoded  # their pixels, while the next ones are waited for
    if trouble.num_failed > 1 and 2 * trouble.num_failed > trouble.num_asked:
        raise UnitError(
            f"the teacher failed on {trouble.num_failed} of {trouble.num_asked} pairs, the first "
            f"time with {trouble.first}"
        )
    return answers


def plan_calls(pairs: Sequence[Pair], options: AnnotateOptions) -> Iterator[list[Pair]]:
    """Calls of images that can share batches, as full as possible; what is left over is mixed.

    A call has at most `call_size` images and `MAX_CALL_PIXELS` pixels, or one image.
    """
    groups: dict[Hashable, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: (len(pair.caption), pair.ordinal)):
        groups.setdefault(options.size_key(pair.size_wh), []).append(pair)
    rest: list[Pair] = []
    size = options.call_size
    for _, group in sorted(groups.items(), key=lambda item: min(p.ordinal for p in item[1])):
        full = len(group) - len(group) % size
        for first in range(0, full, size):
            yield from _within_pixels(group[first : first + size])
        rest += group[full:]
    for first in range(0, len(rest), size):
        yield from _within_pixels(rest[first : first + size])


def _pixels(call: Sequence[Pair]) -> int:
    return sum(pair.size_wh[0] * pair.size_wh[1] for pair in call)


def _within_pixels(call: list[Pair]) -> Iterator[list[Pair]]:
    return in_parts(
        call, lambda pair: pair.size_wh[0] * pair.size_wh[1], max_weight=MAX_CALL_PIXELS
    )


def _ground(
    requests: Sequence[tuple[Pair, GroundingRequest]],
    grounder: Grounder,
    trouble: _Trouble,
    retries: Retries,
) -> dict[int, Grounding]:
    """Answers by place in the unit; a pair that the teacher cannot answer fails alone."""
    if not requests:
        return {}
    asked = [request for _, request in requests]
    trouble.num_asked += len(asked)
    try:
        found = grounder.ground(asked)
        return {pair.ordinal: g for (pair, _), g in zip(requests, found, strict=True)}
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        # Any exception means "ask one by one": that shows which pair it was.
        retries.count("teacher", len(asked), error)
    answers: dict[int, Grounding] = {}
    for pair, request in requests:
        try:
            (answers[pair.ordinal],) = grounder.ground([request])
        except (ConfigError, RetryableError):
            raise
        except RecordError as error:
            pair.fail(error)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            pair.fail(RecordError(Status.TEACHER_FAILED, what))
            trouble.num_failed += 1
            trouble.first = trouble.first or what
    return answers
