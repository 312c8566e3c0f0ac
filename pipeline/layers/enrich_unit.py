"""The pure function of a unit: labelled rows in, rows of every layer out, whatever happens to one.

The image of a pair is read and decoded once for all layers that are asked for. A pair whose image
is gone, or whose model fails, has rows with a status and a reason.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.decode import NO_LIMITS, decode_image
from pipeline.images.fetch import read_image_uri
from pipeline.labelling.retries import Retries
from pipeline.layers.store import LayerRows
from schemas.errors import ConfigError, RecordError, RetryableError, UnitError, failure_of
from schemas.layer import LayerAnswer, LayerKind, LayerRequest, LayerScorer
from schemas.records import Annotation, Status
from schemas.spread import in_parts

CALL_IMAGES = 16
CALL_PIXELS = 48_000_000
"""Pixels that are decoded for one call, unless one image alone has more."""
CALLS_AHEAD = 2
EXAMPLE_CHARS = 300
# The run had its own limits when it decoded the same bytes.


@dataclass(slots=True)
class _Part:
    """Rows of one layer, as they come."""

    kind: LayerKind
    keys: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, row: Annotation, answer: LayerAnswer | RecordError) -> None:
        """The rows of one pair."""
        own = [b.box_id for b in row.boxes] if self.kind.key == "box_id" else [row.record_id]
        self.keys += own
        if isinstance(answer, RecordError):
            status, detail = str(answer.status), answer.detail
            values: dict[str, Sequence[Any]] = {}
        else:
            status, detail, values = Status.OK.value, "", answer[self.kind.name] if own else {}
        self.statuses += [status] * len(own)
        self.details += [detail] * len(own)
        for column in self.kind.columns:
            found = values.get(column.name, [None] * len(own)) if own else []
            if len(found) != len(own):
                raise UnitError(
                    f"layer {self.kind.name}: {len(found)} values of {column.name} for "
                    f"{len(own)} rows of {row.record_id!r}"
                )
            self.columns.setdefault(column.name, []).extend(found)

    def rows(self) -> LayerRows:
        schema = self.kind.schema()
        arrays = [
            pa.array(values, type=field.type)
            for field, values in zip(
                schema,
                [
                    self.keys,
                    self.statuses,
                    self.details,
                    *(self.columns.get(column.name, []) for column in self.kind.columns),
                ],
                strict=True,
            )
        ]
        examples: dict[str, str] = {}
        for key, status, detail in zip(self.keys, self.statuses, self.details, strict=True):
            if status != Status.OK.value:
                examples.setdefault(status, f"{key}: {detail}"[:EXAMPLE_CHARS])
        return LayerRows(
            table=pa.Table.from_arrays(arrays, schema=schema),
            statuses=Counter(self.statuses),
            examples=examples,
        )


def enrich_unit(
    rows: Sequence[Annotation],
    scorers: Sequence[LayerScorer],
    wanted: Collection[str],
    *,
    pool: Executor,
    seconds: dict[str, float] | None = None,
    access: ImageAccess = ANYTHING,
) -> dict[str, LayerRows]:
    """The rows of the wanted layers for the labelled rows of a unit.

    Args:
        rows: With a result (ok, no_phrases, no_boxes), in the unit's order.
        scorers: What makes them.
        wanted: Names of layers of these scorers.
        pool: Threads that read and decode.
        seconds: Filled with the time of each stage.
        access: What images may be read from.

    Raises:
        RetryableError, ConfigError: a store failed or refused.
        UnitError: a model failed on most of the unit: it is broken, not the images.
    """
    spent = {} if seconds is None else seconds
    parts = {k.name: _Part(k) for s in scorers for k in s.kinds if k.name in wanted}
    of_pairs = any(part.kind.key == "record_id" for part in parts.values())
    calls = _calls([row for row in rows if of_pairs or row.boxes])
    ahead: deque[tuple[list[Annotation], list[Future[NDArray[np.uint8]]]]] = deque()
    failed: list[Any] = [0, ""]
    retries = Retries()

    def decode_next() -> None:
        if (call := next(calls, None)) is not None:
            ahead.append((call, [pool.submit(labelled_image, row, access) for row in call]))

    for _ in range(CALLS_AHEAD):
        decode_next()
    asked = 0
    while ahead:
        call, futures = ahead.popleft()
        began = time.perf_counter()
        images = [_result(future) for future in futures]
        spent["wait"] = spent.get("wait", 0.0) + time.perf_counter() - began
        decode_next()
        began = time.perf_counter()
        usable = [
            (row, _request(row, image))
            for row, image in zip(call, images, strict=True)
            if not isinstance(image, RecordError)
        ]
        asked += len(usable)
        answers = iter(_answers([r for _, r in usable], scorers, wanted, failed, retries))
        for row, image in zip(call, images, strict=True):
            answer = image if isinstance(image, RecordError) else next(answers)
            for part in parts.values():
                part.add(row, answer)
        spent["model"] = spent.get("model", 0.0) + time.perf_counter() - began
    if failed[0] > 1 and 2 * failed[0] > asked:
        raise UnitError(f"the model failed on {failed[0]} of {asked} pairs, first with {failed[1]}")
    return {name: part.rows() for name, part in parts.items()}


def labelled_image(row: Annotation, access: ImageAccess = ANYTHING) -> NDArray[np.uint8]:
    """The pixels that a row's boxes were made for, uint8 RGB [height, width, 3].

    Raises:
        RecordError: the image is gone, cannot be decoded, or is not the one that was labelled.
    """
    decoded = decode_image(read_image_uri(row.image_uri, access=access), NO_LIMITS)
    if (decoded.width, decoded.height) != (row.width, row.height) or (
        row.image_sha256 and decoded.sha256 != row.image_sha256
    ):
        raise RecordError(
            Status.IMAGE_MISSING, f"{row.image_uri} is not the image any more that was labelled"
        )
    return decoded.array


def _calls(rows: Sequence[Annotation]) -> Iterator[list[Annotation]]:
    return in_parts(
        rows,
        lambda row: row.width * row.height,
        max_weight=CALL_PIXELS,
        max_items=CALL_IMAGES,
    )


def _result(future: Future[NDArray[np.uint8]]) -> NDArray[np.uint8] | RecordError:
    try:
        return future.result()
    except RecordError as error:
        return error


def _request(row: Annotation, image: NDArray[np.uint8]) -> LayerRequest:
    return LayerRequest(
        image=image,
        caption=row.caption,
        boxes=np.array([box.xyxy for box in row.boxes], dtype=np.float32).reshape(-1, 4),
        phrases=tuple(row.phrases[box.phrase_index].text for box in row.boxes),
        spans=tuple(
            (row.phrases[box.phrase_index].start, row.phrases[box.phrase_index].end)
            for box in row.boxes
        ),
        scores=tuple(box.score for box in row.boxes),
    )


def _answers(
    requests: Sequence[LayerRequest],
    scorers: Sequence[LayerScorer],
    wanted: Collection[str],
    failed: list[Any],
    retries: Retries,
) -> list[LayerAnswer | RecordError]:
    """One for each request; a request that a model cannot answer fails alone."""
    if not requests:
        return []
    try:
        return list(_ask(requests, scorers, wanted))
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        if len(requests) == 1:
            if isinstance(error, RecordError):
                return [error]
            failed[0] += 1
            failed[1] = failed[1] or failure_of(error)
            what = failure_of(error)
            return [RecordError(Status.TEACHER_FAILED, what)]
        retries.count("enrich", len(requests), error)
    # Asked one by one: that shows which pair it was.
    alone = (_answers([request], scorers, wanted, failed, retries) for request in requests)
    return [answer for answers in alone for answer in answers]


def _ask(
    requests: Sequence[LayerRequest], scorers: Sequence[LayerScorer], wanted: Collection[str]
) -> list[LayerAnswer]:
    together: list[LayerAnswer] = [{} for _ in requests]
    for scorer in scorers:
        own = {kind.name for kind in scorer.kinds} & set(wanted)
        if not own:
            continue
        for whole, answer in zip(together, scorer.score(requests, own), strict=True):
            whole.update(answer)
    return together
