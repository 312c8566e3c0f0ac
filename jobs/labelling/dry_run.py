"""What a labelling would cost, before it is begun: some records are labelled and thrown away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.labelling.class_words import not_asked
from pipeline.images.access import ANYTHING
from schemas.errors import ConfigError, GlipforgeError, reason_of
from schemas.records import Annotation, CorpusRecord, PhraseStatus, Status

if TYPE_CHECKING:
    from jobs.labelling.setup import Corpus, LabelSetup, Tools
    from pipeline.labelling.pairs import PairLimits
    from schemas.plan import Unit

MAX_UNITS = 16
"""Units that records are drawn from: each is read to its end, an archive of gigabytes too."""
UNIT_RECORDS = 512
PICTURES = 3
SHOWN_SCORE = 0.4
HELD_BYTES = 256 * 2**20
"""Of images held at once; a draw of large ones is cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What was measured on the drawn records, and what that makes for the corpus."""

    rows: tuple[Annotation, ...]
    num_records: float
    """Of the whole corpus; estimated where only reading tells."""
    is_counted: bool
    seconds: float
    """Of labelling the drawn rows, after the teacher was warm."""
    num_bytes: int
    """Of the drawn rows as Parquet."""

    @property
    def images_per_s(self) -> float:
        """Of one worker."""
        return len(self.rows) / max(self.seconds, 1e-9)

    @property
    def worker_hours(self) -> float:
        """Of one worker, for the whole corpus."""
        return self.num_records / self.images_per_s / 3600

    @property
    def gigabytes(self) -> float:
        """Of rows, for the whole corpus."""
        return self.num_bytes / max(len(self.rows), 1) * self.num_records / 1e9


def dry_run(setup: LabelSetup, out: str, number: int, cpus: float) -> int:
    """Label `number` records drawn at random, print what all would take, save some pictures.

    Nothing of a run is written.

    Args:
        setup: Of the labelling.
        out: The run that it would make: pictures are saved beside it.
        number: Of records.
        cpus: Threads of the teacher, as for a worker.

    Raises:
        ConfigError: no record could be drawn, or the pictures cannot be saved.
    """
    from jobs.labelling.local_runner import teacher_threads

    if number < 0:
        raise ConfigError(f"--dry-run must be 0 or more records, got {number}")
    corpus = setup.open_corpus()
    limits = replace(setup.limits, access=getattr(corpus, "access", ANYTHING))
    print(f"corpus   {corpus.uri} ({corpus.format})")
    print(f"teacher  {setup.teacher_id()}", flush=True)
    units = corpus.units(UNIT_RECORDS)
    records, per_unit = draw_records(corpus, units, number, np.random.default_rng(0))
    if not records:
        raise ConfigError(f"corpus {corpus.uri!r}: no record could be read for the dry run")
    device = getattr(setup, "device", "cpu")
    tools = setup.load()
    with teacher_threads(cpus, device):
        found = estimate(limits, tools, records, units, per_unit)
    for line in describe(found, device):
        print(line)
    if getattr(setup, "classes", None) is not None:
        for line in not_asked(found.rows):
            print(line)
    saved = save_pictures(found.rows, records, limits, pictures_folder(out))
    if saved:
        print(f"pictures {', '.join(map(str, saved))}")
    return 0


def draw_records(
    corpus: Corpus, units: Sequence[Unit], number: int, generator: np.random.Generator
) -> tuple[list[CorpusRecord], float]:
    """Records of some units, each unit's drawn evenly; and how many a unit holds on average.

    The small ones come first: what they lack of their share is drawn from the others.
    """
    if not units:
        return [], 0.0
    places = generator.permutation(len(units))[: min(MAX_UNITS, number)]
    chosen = sorted((units[int(place)] for place in places), key=_size_of)
    drawn: list[CorpusRecord] = []
    seen = 0
    for done, unit in enumerate(chosen):
        share = -(-(number - len(drawn)) // (len(chosen) - done))
        kept: list[CorpusRecord] = []
        count = 0
        try:
            for record in corpus.read(unit):
                count += 1
                if len(kept) < share:
                    kept.append(record)
                elif (place := int(generator.integers(count))) < share:
                    kept[place] = record
                if sum(len(r.image_bytes or b"") for r in kept) > HELD_BYTES / len(chosen):
                    share = max(1, len(kept) - 1)
                    del kept[share:]
        except GlipforgeError as error:
            print(f"unit {unit.unit_id}: {error}")
        seen += count
        drawn += kept
    return drawn[:number], seen / len(chosen)


def _size_of(unit: Unit) -> int:
    return unit.num_records if unit.num_records >= 0 else unit.stop - unit.start


def estimate(
    limits: PairLimits,
    tools: Tools,
    records: Sequence[CorpusRecord],
    units: Sequence[Unit],
    per_unit: float,
) -> Estimate:
    """Label the drawn records as a worker does, and measure."""
    from pipeline.labelling.annotate_unit import AnnotateOptions, annotate_unit
    from pipeline.run.commit_protocol import encode_rows

    options = AnnotateOptions(limits=limits, size_key=tools.size_key)
    with ThreadPoolExecutor(4) as pool:
        annotate_unit(records[:1], tools.grounder, tools.parser, options, pool=pool)  # warm
        began = time.perf_counter()
        rows = annotate_unit(records, tools.grounder, tools.parser, options, pool=pool).rows
        seconds = time.perf_counter() - began
    counted = [unit.num_records for unit in units]
    is_counted = min(counted) >= 0
    return Estimate(
        rows=rows,
        num_records=float(sum(counted)) if is_counted else per_unit * len(units),
        is_counted=is_counted,
        seconds=seconds,
        num_bytes=len(encode_rows("annotations", rows).data),
    )


def describe(found: Estimate, device: str) -> Iterator[str]:
    """The estimate in lines."""
    rows = found.rows
    usable = [row for row in rows if not row.status.is_quarantined]
    about = "" if found.is_counted else "about "
    yield f"dry run  {len(rows):,} of {about}{found.num_records:,.0f} pairs, drawn at random"
    counts = Counter(row.status for row in rows)
    yield "status   " + ", ".join(f"{status} {n:,}" for status, n in counts.most_common())
    if usable:
        asked = sum(p.status is PhraseStatus.OK for row in usable for p in row.phrases)
        boxes = sum(len(row.boxes) for row in usable)
        yield (
            f"found    {asked / len(usable):.1f} phrases and {boxes / len(usable):.1f} candidate "
            "boxes an image"
        )
    where = "GPU" if device.startswith("cuda") or _has_gpu(device) else "CPU worker"
    yield (
        f"speed    {found.images_per_s:.2f} images/s for one {where}: the corpus takes "
        f"{_hours(found.worker_hours)} of one, {_hours(found.worker_hours / 16)} of 16"
    )
    yield f"disk     {_size(found.gigabytes)} of rows"


def save_pictures(
    rows: Sequence[Annotation],
    records: Sequence[CorpusRecord],
    limits: PairLimits,
    folder: Path,
) -> list[Path]:
    """The first labelled images with their boxes of score 0.4 and more."""
    from PIL import Image

    from pipeline.images.decode import decode_image
    from pipeline.images.draw import draw_boxes, draw_caption
    from pipeline.images.fetch import read_image_uri
    from pipeline.images.palette import phrase_color

    by_id = {record.record_id: record for record in records}
    saved: list[Path] = []
    for row in [row for row in rows if row.status is Status.OK][:PICTURES]:
        data = by_id[row.record_id].image_bytes
        data = data or read_image_uri(row.image_uri, access=limits.access)
        boxes = [box for box in row.boxes if box.score >= SHOWN_SCORE]
        drawn = draw_boxes(
            decode_image(data, limits.image).array,
            [box.xyxy for box in boxes],
            [row.phrases[box.phrase_index].text for box in boxes],
            [box.score for box in boxes],
            [phrase_color(box.phrase_index) for box in boxes],
        )
        strip = draw_caption(row.caption, [(p.start, p.end) for p in row.phrases], drawn.width)
        sheet = Image.new("RGB", (drawn.width, drawn.height + strip.height))
        sheet.paste(drawn, (0, 0))
        sheet.paste(strip, (0, drawn.height))
        path = folder / f"{len(saved) + 1}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sheet.save(path)
        except OSError as error:
            raise ConfigError(
                f"the pictures cannot be saved in {folder}: {reason_of(error)}"
            ) from error
        saved.append(path)
    return saved


def _has_gpu(device: str) -> bool:
    if device != "auto":
        return False
    from model.teacher.load import torch_device

    return torch_device(device).type == "cuda"


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:,.1f} h" if hours < 100 else f"{hours / 24:,.0f} days"


def _size(gigabytes: float) -> str:
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{max(gigabytes * 1e3, 0.1):,.1f} MB"


def pictures_folder(out: str) -> Path:
    """Beside the run, never in it; in this folder where the run is on an object store."""
    from pipeline.storage.files import is_local, local_path

    place: Any = Path(local_path(out)) if is_local(out) else Path(out.rstrip("/").rsplit("/", 1)[1])
    return Path(place.with_name(f"{place.name}-dry-run"))
