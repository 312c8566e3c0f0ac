"""Image-caption pairs on their way through a unit: read, fetched, checked, cut into phrases.

A pair that cannot be used keeps the reason and goes on to become a row; nothing is left out.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.connections import NotAdmitted
from pipeline.images.decode import ImageLimits
from pipeline.images.decoders import Decoder, InProcess
from pipeline.images.fetch import read_image_uri
from pipeline.labelling.held_bytes import HeldBytes, UnitBytes
from pipeline.labelling.retries import Retries
from schemas.caption_text import caption_problem
from schemas.errors import ConfigError, RecordError, RetryableError
from schemas.fingerprint import sha256_bytes
from schemas.records import CorpusRecord, Phrase, Status

IN_PROCESS = InProcess()
FETCH_AHEAD = 16
"""Images that are fetched before the window has room for them."""


class CaptionParser(Protocol):
    """Cuts captions into phrases: `pipeline.phrases.extract.PhraseExtractor`, or a test's fake."""

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """The phrases of each caption."""
        ...

    def fingerprint(self) -> dict[str, object]:
        """Everything that changes the phrases."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLimits:
    """Which pairs are used, and how many are held in memory at once."""

    image: ImageLimits = field(default_factory=ImageLimits)
    max_caption_chars: int = 10_000
    """A longer caption is not a caption."""
    window_records: int = 1024
    """Pairs that are sorted by size together."""
    window_bytes: int = 256 * 2**20
    """Encoded images of a window."""
    access: ImageAccess = ANYTHING
    """What images may be read from."""

    def __post_init__(self) -> None:
        for name in ("max_caption_chars", "window_records", "window_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(slots=True, kw_only=True)
class Pair:
    """One record and what is known of it so far."""

    ordinal: int
    """Place in the unit."""
    record: CorpusRecord
    failure: tuple[Status, str] | None = None
    data: bytes | None = None
    """Encoded image; dropped once decoded."""
    size_wh: tuple[int, int] = (0, 0)
    sha256: str = ""
    num_bytes: int = 0
    """Length of the encoded image, where it was read; while it is fetched, as far as known."""
    held: int = 0
    """Bytes of it that count as in memory."""
    is_last_read: bool = False
    """The corpus' reader holds its bytes until it is asked for the next record."""
    phrases: tuple[Phrase, ...] = ()

    def let_go(self, share: UnitBytes) -> None:
        """Forget the encoded image, and make room for another."""
        self.data = None
        if not self.is_last_read:
            share.give(self.held)
            self.held = 0

    @property
    def caption(self) -> str:
        """The caption; empty where there is none."""
        return self.record.caption or ""

    def fail(self, error: RecordError) -> None:
        """Keep the first reason."""
        if self.failure is not None:
            return
        try:
            self.failure = (Status(error.status), error.detail)
        except ValueError:
            self.failure = (Status.TEACHER_FAILED, str(error))


class Seconds(dict[str, float]):
    """Seconds by stage; adding is safe where only one thread adds to a stage."""

    def add(self, stage: str, seconds: float) -> None:
        """Count time of a stage."""
        self[stage] = self.get(stage, 0.0) + seconds


def read_windows(
    records: Iterable[CorpusRecord],
    limits: PairLimits,
    pool: Executor,
    seconds: Seconds,
    decoder: Decoder = IN_PROCESS,
    share: UnitBytes | None = None,
) -> Iterator[list[Pair]]:
    """The records in groups that fit in memory, each with its image's bytes and size.

    Where a window ends depends on the records alone, so that a run can be repeated exactly. At
    most `window_bytes` of images are held, and one image more.

    Args:
        share: Of the memory of all units of a worker; records and images wait for room in it.

    Raises:
        RetryableError, ConfigError: a store failed or refused; the unit fails.
    """
    if share is None:
        with HeldBytes().unit() as share:
            yield from read_windows(records, limits, pool, seconds, decoder, share)
        return
    waiting: deque[tuple[Pair, Future[float]]] = deque()
    window: list[Pair] = []
    held = expected = 0
    most = limits.window_bytes
    source = iter(_check_records(records, limits))
    exhausted = False
    while not exhausted or waiting:
        began = time.perf_counter()
        while (
            not exhausted and len(waiting) < FETCH_AHEAD and not (waiting and share.is_full(most))
        ):
            # How large the next record's image is shows when it is read: as the one before.
            share.wait_for(expected)
            pair = next(source, None)
            if pair is None:
                exhausted = True
            else:
                if pair.record.image_bytes is not None:  # it is in memory already
                    expected = len(pair.record.image_bytes)
                    share.take(expected)
                waiting.append((pair, pool.submit(_fetch, pair, limits, share, decoder)))
        seconds.add("read", time.perf_counter() - began)
        if not waiting:
            break
        pair, fetched = waiting.popleft()
        try:
            spent = fetched.result()
        except NotAdmitted:
            share.wait_for(pair.num_bytes)
            spent = _fetch(pair, limits, share, decoder, is_oldest=True)
        seconds.add("fetch", spent)
        window.append(pair)
        held += pair.num_bytes
        if len(window) >= limits.window_records or held >= limits.window_bytes:
            pair.is_last_read = not waiting
            yield window
            share.give(sum(pair.held for pair in window))
            window, held = [], 0
    if window:
        yield window


def extract_window(
    pairs: Sequence[Pair], parser: CaptionParser, seconds: Seconds, retries: Retries
) -> None:
    """Cut the captions of usable pairs into phrases; a caption that cannot be cut fails alone."""
    began = time.perf_counter()
    usable = [pair for pair in pairs if pair.failure is None]
    try:
        found = parser.extract([pair.caption for pair in usable])
        for pair, phrases in zip(usable, found, strict=True):
            pair.phrases = phrases
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        # Whatever it was, one caption at a time shows whose fault it is.
        retries.count("phrases", len(usable), error)
        for pair in usable:
            _extract_one(pair, parser)
    seconds.add("phrases", time.perf_counter() - began)


def _extract_one(pair: Pair, parser: CaptionParser) -> None:
    try:
        (pair.phrases,) = parser.extract([pair.caption])
    except (ConfigError, RetryableError):
        raise
    except RecordError as error:
        pair.fail(error)
    except Exception as error:
        detail = f"cannot be parsed: {type(error).__name__}: {error}"
        pair.fail(RecordError(Status.CAPTION_INVALID, detail))


def _check_records(records: Iterable[CorpusRecord], limits: PairLimits) -> Iterator[Pair]:
    places: dict[str, int] = {}
    ordinal = -1
    for record in records:
        ordinal += 1  # `enumerate` would keep a record while the next one is read
        pair = Pair(ordinal=ordinal, record=record, failure=record.error)
        first = places.setdefault(record.record_id, ordinal)
        if first != ordinal:
            pair.failure = (
                Status.DUPLICATE_ID,
                f"record {ordinal} of its unit has the id of record {first}",
            )
        elif pair.failure is None:
            pair.failure = caption_problem(record.caption, limits.max_caption_chars)
        yield pair
        del pair, record  # an image must go before the next one is read


def _fetch(
    pair: Pair, limits: PairLimits, share: UnitBytes, decoder: Decoder, *, is_oldest: bool = False
) -> float:
    """Bytes and header of the image; returns the seconds it took.

    Raises:
        NotAdmitted: there is no room; the oldest fetch of a unit is never told so.
    """
    began = time.perf_counter()
    in_record = len(pair.record.image_bytes or b"")
    taken = 0

    def admit(size: int) -> None:
        nonlocal taken
        if size > taken:
            pair.num_bytes = size
            if is_oldest:
                share.take(size - taken)
            else:
                share.try_take(size - taken, limits.window_bytes)
            taken = size

    try:
        if pair.failure is None:
            record = pair.record
            if record.image_bytes is not None:
                pair.data = record.image_bytes
            elif record.image_uri is not None:
                pair.data = read_image_uri(record.image_uri, access=limits.access, admit=admit)
                admit(len(pair.data))
            else:
                raise RecordError(Status.IMAGE_MISSING, "the record names no image")
            pair.size_wh = decoder.size(pair.data, limits.image)
    except RecordError as error:
        pair.fail(error)
    except NotAdmitted:
        pair.data = None
        share.give(taken)
        raise
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        # Nothing that one image raises may end the others of its unit.
        pair.fail(RecordError(Status.IMAGE_CORRUPT, f"{type(error).__name__}: {error}"))
    pair.num_bytes = len(pair.data or b"")
    if pair.failure is not None:
        if pair.data is not None:
            pair.sha256 = sha256_bytes(pair.data)
        pair.data = None
        share.give(taken)
        taken = 0
    if in_record:  # `data` is all that keeps them now
        pair.record = replace(pair.record, image_bytes=None)
    pair.held = taken + in_record
    return time.perf_counter() - began
