"""The unit function: one row per record, in order, whatever happens to a record or the teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.images.decode import ImageLimits
from pipeline.images.decoders import InProcess, Outcome, Picture
from pipeline.labelling.annotate_unit import AnnotateOptions, UnitRows, annotate_unit
from pipeline.labelling.pairs import PairLimits
from schemas.errors import ConfigError, RetryableError, UnitError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import CorpusRecord, Phrase, Status
from tests.corpus_builders import make_record, picture_bytes
from tests.fakes import FakeGrounder, FakeParser


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as made:
        yield made


def annotate(
    pool: ThreadPoolExecutor,
    records: list[CorpusRecord],
    grounder: FakeGrounder | None = None,
    **options,
) -> UnitRows:
    return annotate_unit(
        records, grounder or FakeGrounder(), FakeParser(), AnnotateOptions(**options), pool=pool
    )


def test_nothing_gives_nothing(pool: ThreadPoolExecutor) -> None:
    assert annotate(pool, []).rows == ()


def test_rows_are_in_the_order_of_the_records(pool: ThreadPoolExecutor) -> None:
    records = [
        make_record(n, image_bytes=picture_bytes(n, (16 + 8 * (n % 5), 16))) for n in range(40)
    ]
    found = annotate(pool, records, call_size=4)
    assert [row.record_id for row in found.rows] == [record.record_id for record in records]
    assert found.rows_in == 40
    for row in found.rows:
        assert row.status in (Status.OK, Status.NO_BOXES)
        assert [box.score for box in row.boxes] == sorted(
            (b.score for b in row.boxes), reverse=True
        )


@pytest.mark.parametrize("options", [{"call_size": 1}, {"call_size": 64}, {"calls_ahead": 5}])
def test_how_it_is_asked_changes_no_row(pool: ThreadPoolExecutor, options) -> None:
    records = [make_record(n) for n in range(20)]
    assert annotate(pool, records, **options).rows == annotate(pool, records).rows


def test_small_windows_change_no_row(pool: ThreadPoolExecutor) -> None:
    records = [make_record(n) for n in range(20)]
    small = PairLimits(window_records=3, window_bytes=100)
    assert annotate(pool, records, limits=small).rows == annotate(pool, records).rows


@pytest.mark.parametrize(
    "changes, status, said",
    [
        ({"caption": None}, Status.CAPTION_MISSING, "there is no caption"),
        ({"caption": " \t"}, Status.CAPTION_MISSING, "the caption is blank"),
        ({"caption": "a\0dog"}, Status.CAPTION_INVALID, "NUL character at 1"),
        ({"caption": "x" * 10_001}, Status.CAPTION_INVALID, "10,001 characters"),
        ({"image_bytes": b"no image"}, Status.IMAGE_CORRUPT, "not an image"),
        ({"image_bytes": picture_bytes(0, (4, 4))}, Status.IMAGE_TOO_SMALL, "4"),
        ({"image_bytes": None, "image_uri": None}, Status.IMAGE_MISSING, "names no image"),
        ({"image_bytes": None, "image_uri": "/no/where.png"}, Status.IMAGE_MISSING, "where.png"),
        ({"error": (Status.RECORD_INVALID, "torn")}, Status.RECORD_INVALID, "torn"),
        ({"record_id": "toy/000000"}, Status.DUPLICATE_ID, "has the id of record 0"),
    ],
)
def test_a_bad_record_costs_itself(
    pool: ThreadPoolExecutor, changes, status: Status, said: str
) -> None:
    records = [make_record(n) for n in range(6)]
    clean = annotate(pool, records).rows
    records[3] = replace(records[3], **changes)
    rows = annotate(pool, records).rows
    assert rows[3].status is status
    assert said in rows[3].detail
    assert not rows[3].boxes
    assert rows[:3] + rows[4:] == clean[:3] + clean[4:]


@pytest.mark.parametrize(
    "how, status",
    [
        ("raise_on", Status.TEACHER_FAILED),
        ("refuse_on", Status.TEACHER_FAILED),
        ("spoil_on", Status.OK),  # it only fails in company
        ("nan_on", Status.TEACHER_FAILED),
    ],
)
def test_a_record_that_the_teacher_cannot_answer(
    pool: ThreadPoolExecutor, how: str, status: Status
) -> None:
    records = [make_record(n) for n in range(6)]
    clean = annotate(pool, records).rows
    records[2] = replace(records[2], caption="a strange dog")
    size = 1 if how == "refuse_on" else 32  # that one answers in company
    rows = annotate(pool, records, FakeGrounder(**{how: "strange"}), call_size=size).rows
    assert rows[2].status is status
    assert bool(rows[2].boxes) == (status is Status.OK)
    assert rows[:2] + rows[3:] == clean[:2] + clean[3:]


def test_a_teacher_that_fails_on_everything_fails_the_unit(pool: ThreadPoolExecutor) -> None:
    records = [make_record(n) for n in range(6)]
    with pytest.raises(UnitError, match=r"the teacher failed on 6 of 6 pairs, the first time with"):
        annotate(pool, records, FakeGrounder(raise_on="dog"))


@pytest.mark.parametrize("error", [RetryableError("gone"), ConfigError("denied")])
def test_errors_of_the_machine_are_not_the_records(pool: ThreadPoolExecutor, error) -> None:
    class Broken(FakeGrounder):
        def ground(self, requests: list[GroundingRequest]) -> list[Grounding]:
            raise error

    with pytest.raises(type(error)):
        annotate(pool, [make_record(0)], Broken())


def test_batches_that_are_asked_again_are_counted_and_said(
    pool: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    records = [make_record(n, caption="a spoilt dog" if n % 4 == 0 else "a dog") for n in range(8)]
    assert annotate(pool, records, call_size=4).batch_failures == ()
    caplog.clear()
    grounder = FakeGrounder(spoil_on="spoilt")
    found = annotate(pool, records, grounder, call_size=8)
    assert {row.status for row in found.rows} <= {Status.OK, Status.NO_BOXES}
    assert grounder.calls == [8, *[1] * 8]
    (failure,) = found.batch_failures
    said = "RuntimeError: the fake grounder cannot answer 8 requests"
    assert (failure.stage, failure.batches, failure.first) == ("teacher", 1, said)
    (line,) = [line for line in caplog.messages if "each pair is asked alone" in line]
    assert line == f"teacher: a batch of 8 pairs failed ({said}); each pair is asked alone, " + (
        "which is slow"
    )


def test_a_parser_that_fails_in_company_is_counted(pool: ThreadPoolExecutor) -> None:
    class Shy(FakeParser):
        def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
            if len(captions) > 1:
                raise MemoryError("too many")
            return super().extract(captions)

    records = [make_record(n) for n in range(5)]
    found = annotate_unit(records, FakeGrounder(), Shy(), AnnotateOptions(), pool=pool)
    assert found.rows == annotate(pool, records).rows
    (failure,) = found.batch_failures
    assert (failure.stage, failure.batches, failure.first) == (
        "phrases",
        1,
        "MemoryError: too many",
    )


def test_a_decoder_that_fails_in_company_is_counted(pool: ThreadPoolExecutor) -> None:
    class Shy(InProcess):
        def decode_all(self, pictures: Sequence[Picture], limits: ImageLimits) -> list[Outcome]:
            if len(pictures) > 1:
                raise ValueError("too many")
            return super().decode_all(pictures, limits)

    records = [make_record(n) for n in range(8)]
    parser, options = FakeParser(), AnnotateOptions(call_size=8)
    found = annotate_unit(records, FakeGrounder(), parser, options, pool=pool, decoder=Shy())
    assert found.rows == annotate(pool, records).rows
    (failure,) = found.batch_failures
    assert (failure.stage, failure.batches, failure.first) == ("decode", 4, "ValueError: too many")


def test_captions_that_name_nothing(pool: ThreadPoolExecutor) -> None:
    (row,) = annotate(pool, [make_record(0, caption="it")]).rows
    assert row.status is Status.NO_PHRASES
    assert row.image_sha256


@pytest.mark.parametrize("name", ["call_size", "calls_ahead"])
def test_options_are_checked(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        AnnotateOptions(**{name: 0})
