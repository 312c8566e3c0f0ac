"""`python -m tests.pipeline.export.golden` writes the golden export files again."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.export import ExportOptions, export_records
from schemas.records import CuratedBox, CuratedRecord, Phrase, PhraseStatus
from tests.schemas.builders import make_curated

GOLDEN = Path(__file__).parents[2] / "golden" / "export"
FILES = {
    "goldg": "goldg.json",
    "odvg": "odvg.jsonl",
    "odvg-detection": "odvg-detection.jsonl",
    "coco": "coco.json",
    "lvis": "lvis.json",
    "glip-tsv": "glip.tsv",
    "grit": "grit.parquet",
    "boxes": "boxes.parquet",
}
"""Formats that are files; the others are folders with images."""
KITE = "two kids fly a red kite over un café, no dog"


def phrase(caption: str, text: str, head: str, best: float = 0.9, nth: int = 0) -> Phrase:
    start = -1
    for _ in range(nth + 1):
        start = caption.index(text, start + 1)
    return Phrase(text=text, start=start, end=start + len(text), head=head, best_score=best)


def box(
    number: int, xyxy: tuple, phrases: tuple[int, ...], score: float, **more: str
) -> CuratedBox:
    fields = {"box_id": f"toy/0#{number}", "origin": "teacher"} | more
    return CuratedBox(xyxy=xyxy, phrase_indices=phrases, score=score, **fields)


def kite_record() -> CuratedRecord:
    """Two boxes for one phrase, one box for two phrases, a negative, unicode."""
    phrases = (
        phrase(KITE, "two kids", "kid"),
        phrase(KITE, "a red kite", "kite"),
        phrase(KITE, "un café", "café", best=0.5),
        phrase(KITE, "no dog", "dog", best=0.04),
        phrase(KITE, "dog", "dog", best=0.04),
    )
    return make_curated(
        caption=KITE,
        image_uri="corpus/images/beach.jpg",
        width=640,
        height=480,
        phrases=phrases,
        boxes=(
            box(0, (40.0, 200.0, 100.0, 350.0), (0,), 0.8125),
            box(1, (120.5, 205.0, 175.0, 345.25), (0,), 0.65625, origin="human"),
            box(2, (300.0, 30.0, 390.0, 100.0), (1, 2), 0.9375),
        ),
    )


def dogs_record() -> CuratedRecord:
    """The same words twice: each mention keeps its own span."""
    caption = "a dog and a dog"
    return make_curated(
        record_id="toy/1",
        caption=caption,
        image_uri="elsewhere/1.jpg",
        phrases=(phrase(caption, "a dog", "dog"), phrase(caption, "a dog", "dog", nth=1)),
        boxes=(
            box(3, (0.0, 0.0, 30.0, 48.0), (0,), 0.5, box_id="toy/1#0"),
            box(4, (30.0, 0.0, 64.0, 48.0), (1,), 0.5, box_id="toy/1#1"),
        ),
    )


def empty_record() -> CuratedRecord:
    """A pair without a box: nothing to train on."""
    unseen = Phrase(text="a dog", start=0, end=5, status=PhraseStatus.TRUNCATED)
    return make_curated(record_id="toy/2", phrases=(unseen,), boxes=())


def golden_records() -> list[CuratedRecord]:
    return [kite_record(), dogs_record(), empty_record()]


def golden_text(path: Path) -> str:
    """A golden file as text; Parquet as JSON rows, since its bytes differ between versions."""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path.read_bytes().decode()


def write_golden(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for export_format, name in FILES.items():
        options = ExportOptions(image_root="corpus")
        export_records(golden_records(), export_format, str(folder / name), options)
    for parquet in (folder / "grit.parquet", folder / "boxes.parquet"):
        parquet.with_suffix(".jsonl").write_bytes(golden_text(parquet).encode())
        parquet.unlink()


if __name__ == "__main__":
    write_golden(GOLDEN)
    print(*sorted(GOLDEN.iterdir()), sep="\n")
