"""What the web holds, through a unit: a row with a reason each, its mates as without it."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import open_corpus
from pipeline.labelling.annotate_unit import AnnotateOptions, annotate_unit
from pipeline.run.commit_protocol import encode_rows
from schemas.errors import UnitError
from schemas.records import Annotation, Status
from tests.corpus_builders import picture_bytes
from tests.fakes import FakeGrounder, FakeParser
from tests.pipeline.corpus.corpora import write_tar
from tests.poison import CAPTIONS, IMAGES

GOOD = "a dog and a cat"
EMPTY = f"i-{list(IMAGES).index('empty')}"
FINE = {Status.OK, Status.NO_BOXES}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def label(corpus: Path, pool: ThreadPoolExecutor) -> list[Annotation]:
    """All rows of a corpus, its unit in calls in which good and bad are together."""
    opened = open_corpus(str(corpus))
    records = [record for unit in opened.units() for record in opened.read(unit)]
    options = AnnotateOptions(call_size=7)
    return list(annotate_unit(records, FakeGrounder(), FakeParser(), options, pool=pool).rows)


def as_file(rows: Sequence[Annotation]) -> bytes:
    return encode_rows("annotations", rows).data


def write_pairs(folder: Path, pairs: Sequence[tuple[str, bytes | None, Any]], kind: str) -> Path:
    """(key, image, caption as text or bytes)."""
    folder.mkdir(parents=True)
    texts = [text.encode() if isinstance(text, str) else text for _, _, text in pairs]
    if kind == "tar":
        members = {}
        for (key, image, _), text in zip(pairs, texts, strict=True):
            members |= {
                f"{key}.{end}": d for end, d in (("jpg", image), ("txt", text)) if d is not None
            }
        write_tar(folder / "0.tar", members)
    else:
        table = pa.table(
            {
                "key": [key for key, _, _ in pairs],
                "image": [{"bytes": image, "path": None} for _, image, _ in pairs],
                "caption": pa.array(texts, pa.binary()).view(pa.string()),
            }
        )
        pq.write_table(table, folder / "0.parquet")
    return folder


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_each_is_a_row_and_its_mates_are_as_without_it(
    kind: str, tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    poison = [(f"i-{n}", data, GOOD, status) for n, (data, status) in enumerate(IMAGES.values())]
    poison += [
        (f"c-{n}", picture_bytes(900 + n), text, status)
        for n, (text, status) in enumerate(CAPTIONS.values())
    ]
    pairs, good = [], []
    for number, (key, image, text, _) in enumerate(poison):
        good.append((f"g-{number:03d}", picture_bytes(number), f"{GOOD}{number}"))
        pairs += [good[-1], (key, image, text)]
    # Row numbers are ids of a table: those of the good ones must not move.
    blank = [pair if pair in good else (f"x-{n}", None, None) for n, pair in enumerate(pairs)]
    rows = label(write_pairs(tmp_path / "toy", pairs, kind), pool)
    shutil.rmtree(tmp_path / "toy")  # the same place: addresses are in the rows
    without = label(write_pairs(tmp_path / "toy", blank, kind), pool)
    assert len(rows) == len(pairs)
    for row, (key, _, _, status) in zip(rows[1::2], poison, strict=True):
        wanted = FINE if status is Status.OK else {status}
        if key == EMPTY and kind == "parquet":
            wanted = {Status.IMAGE_MISSING}  # an empty cell holds none
        assert row.status in wanted, f"{key}: {row.status} {row.detail}"
        assert row.detail or not row.status.is_quarantined, f"{key} has no reason"
    with_mates = [row for row in rows[::2] if row.status in FINE]
    alone = [row for row in without if row.status in FINE]
    assert len(with_mates) == len(good)
    assert as_file(with_mates) == as_file(alone)


def test_an_archive_with_names_that_leave_it(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Nothing is unpacked, so nothing can be written elsewhere; they are refused all the same."""
    members: dict[str, bytes] = {}
    for key in ("a", "/etc/b", "../c", "d/../../e", "f"):
        members |= {f"{key}.png": picture_bytes(1), f"{key}.txt": GOOD.encode()}
    write_tar(tmp_path / "toy" / "0.tar", members)
    rows = label(tmp_path / "toy", pool)
    bad = [row for row in rows if row.status not in FINE]
    assert [row.status for row in bad] == [Status.RECORD_INVALID] * 3
    assert all("leaves the archive" in row.detail for row in bad)
    assert [row.record_id for row in rows if row.status in FINE] == ["toy/0/a", "toy/0/f"]


def test_keys_that_come_back(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    path = tmp_path / "toy" / "0.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for name, data in (("a.png", picture_bytes(1)), ("a.txt", b"a dog")) * 2:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    first, second = label(tmp_path / "toy", pool)
    assert first.status in FINE
    assert second.status is Status.DUPLICATE_ID
    assert second.record_id != first.record_id


@pytest.mark.parametrize("data", [b"", bytes(10240), b"no archive at all" * 100])
def test_an_archive_without_samples(data: bytes, tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    path = tmp_path / "toy" / "0.tar"
    path.parent.mkdir()
    path.write_bytes(data)
    if data.startswith(b"no"):
        with pytest.raises(UnitError, match="is not a tar archive"):
            label(tmp_path / "toy", pool)
    else:
        (row,) = label(tmp_path / "toy", pool)
        assert (row.status, row.detail) == (Status.RECORD_INVALID, "the archive holds no samples")
