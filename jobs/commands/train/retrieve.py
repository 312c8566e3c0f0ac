"""Find captions by image and images by caption, and measure how often the right one comes first.

Every image is asked about every caption; the score of a pair is the mean of its phrases' best
scores. The images and captions are those of a corpus, an image may have several captions.
"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import tyro

from jobs.arguments import Corpus, MaybeFile, Model
from pipeline.corpus.options import CorpusOptions
from schemas.errors import ConfigError, RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from model.teacher.load import AnyTeacher
    from pipeline.evaluation.retrieval import Retrieval
    from schemas.records import Span

EXAMPLES = ("glipforge retrieve photos --teacher glip-t --limit 100",)
CAPTIONS_AT_ONCE = 32
MAX_UNITS = 16
"""Of the corpus that images are taken from: each is read to its end."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge retrieve`."""

    corpus: tyro.conf.Positional[Corpus]
    """Images with captions that people wrote: a file, a folder, a pattern or a URL."""
    teacher: Model = None
    """A model directory, a published name (glip-t) or a hub id; several with commas are an
    ensemble. The shipped glip-nano if not given."""
    limit: int = 100
    """So many images, evenly spread over the units of the corpus: time grows with the square."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    batch_size: int = 8
    """Images in one forward."""
    out: MaybeFile = None
    """Write figures, ids and the score of every pair as JSON."""
    json: bool = False
    """Print JSON instead of a table."""
    reading: tyro.conf.OmitArgPrefixes[CorpusOptions] = field(default_factory=CorpusOptions)
    """How the corpus is read."""


@dataclass(kw_only=True)
class Pairs:
    """Images, each with its captions, and what was left out."""

    names: list[str] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    """Encoded: decoded ones of a thousand photographs would fill the memory."""
    captions: list[tuple[str, tuple[Span, ...]]] = field(default_factory=list)
    image_of: list[int] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Count a pair that is not used."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def run(config: Config) -> int:
    """Ask for every pair and print recall; returns 0."""
    import numpy as np

    from jobs.progress_bar import reading_bar
    from model.teacher.load import load_teacher
    from model.teacher.options import TeacherOptions
    from pipeline.evaluation.retrieval import pair_score, retrievals
    from pipeline.images.decode import ImageLimits, decode_image

    if config.limit < 2:
        raise ConfigError(f"limit must be at least 2 images, got {config.limit}")
    if config.out is not None:  # said now, not after every pair was asked for
        if config.out.is_dir():
            raise ConfigError(f"out must be a file, got the folder {str(config.out)!r}")
        config.out.parent.mkdir(parents=True, exist_ok=True)
    pairs = _read(config)
    if len(pairs.images) < 2:
        raise ConfigError(
            f"corpus {config.corpus!r} has {len(pairs.images)} usable images with captions; at "
            f"least 2 are compared; left out: {pairs.left_out or 'nothing'}"
        )
    options = TeacherOptions(
        score_floor=1.0, precision=config.precision, batch_size=config.batch_size
    )
    teacher = load_teacher(config.teacher, device=config.device, options=options)
    scores = np.zeros((len(pairs.images), len(pairs.captions)))
    failed: dict[int, RecordError] = {}
    with reading_bar("retrieve", len(pairs.images)) as progress:
        for first in range(0, len(pairs.images), config.batch_size):
            encoded = pairs.images[first : first + config.batch_size]
            images = [decode_image(data, ImageLimits()).array for data in encoded]
            for start in range(0, len(pairs.captions), CAPTIONS_AT_ONCE):
                captions = pairs.captions[start : start + CAPTIONS_AT_ONCE]
                rows = [row for row in range(first, first + len(images)) if row not in failed]
                asked = _asked(teacher, [images[row - first] for row in rows], captions)
                for row, best in zip(rows, asked, strict=True):
                    if isinstance(best, RecordError):
                        failed[row] = best
                        continue
                    scores[row, start : start + len(captions)] = [pair_score(b) for b in best]
            progress(first + len(images))
    if failed:
        scores = _without(pairs, failed, scores)
    found = retrievals(scores, pairs.image_of)
    report = {
        "teacher": teacher.teacher_id,
        "corpus": config.corpus,
        "images": pairs.names,
        "captions": [text for text, _ in pairs.captions],
        "image_of": pairs.image_of,
        "left_out": pairs.left_out,
        "figures": [asdict(one) for one in found],
    }
    if config.out is not None:
        text = json_module.dumps(report | {"scores": scores.round(6).tolist()}, indent=1)
        config.out.write_text(text + "\n", encoding="utf-8")
    if teacher.note:
        print(f"note     {teacher.note}", file=sys.stderr)
    if config.json:
        print(json_module.dumps(report, indent=1))
    else:
        _print(report, found)
    return 0


def _read(config: Config) -> Pairs:
    from pipeline.corpus import open_corpus
    from pipeline.images.decode import ImageLimits, decode_image
    from pipeline.images.fetch import read_image_uri
    from pipeline.phrases.extract import extract_phrases
    from schemas.fingerprint import sha256_bytes
    from schemas.records import PhraseStatus, Status

    corpus = open_corpus(config.corpus, config.reading)
    pairs = Pairs()
    place_of: dict[str, int] = {}
    quota = 0
    for units_left, record in _spread(corpus, config.limit):
        if record is None:
            # Of each unit a share of the images that are still wanted.
            quota = len(pairs.images) + -(-(config.limit - len(pairs.images)) // units_left)
            continue
        try:
            if record.error is not None:
                raise RecordError(*record.error)
            spans = tuple(
                (phrase.start, phrase.end)
                for phrase in extract_phrases(record.caption or "")
                if phrase.status is PhraseStatus.OK
            )
            if not spans:
                raise RecordError(Status.NO_PHRASES, "the caption names nothing")
            data = record.image_bytes
            if data is None:
                data = read_image_uri(record.image_uri or "", access=corpus.access)
            digest = sha256_bytes(data)
            if digest not in place_of:
                if len(pairs.images) >= quota:
                    continue
                decode_image(data, ImageLimits())  # refused here, if at all
                pairs.images.append(data)
                pairs.names.append(record.record_id)
                place_of[digest] = len(pairs.images) - 1
        except RecordError as error:
            pairs.leave_out(str(error.status))
            continue
        pairs.captions.append((record.caption or "", spans))
        pairs.image_of.append(place_of[digest])
    return pairs


def _asked(
    teacher: AnyTeacher, images: Sequence[NDArray[np.uint8]], captions: Sequence[Any]
) -> list[list[NDArray[np.float32]] | RecordError]:
    """Of each image its best scores, or why there are none: it costs no other image."""
    if not images:
        return []
    try:
        return [*teacher.best_scores(images, captions)]
    except RecordError as error:
        if len(images) == 1:
            return [error]
    return [found for image in images for found in _asked(teacher, [image], captions)]


def _without(
    pairs: Pairs, failed: Mapping[int, RecordError], scores: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Leave images out that could not be asked about, with their captions."""
    for row in pairs.image_of:
        if row in failed:
            pairs.leave_out(str(failed[row].status))
    rows = [row for row in range(len(pairs.images)) if row not in failed]
    columns = [column for column, row in enumerate(pairs.image_of) if row not in failed]
    if len(rows) < 2:
        raise ConfigError(
            f"the teacher answers for {len(rows)} of {len(pairs.images)} images, at least 2 are "
            f"compared; first: {next(iter(failed.values()))}"
        )
    pairs.names = [pairs.names[row] for row in rows]
    pairs.images = [pairs.images[row] for row in rows]
    pairs.captions = [pairs.captions[column] for column in columns]
    pairs.image_of = [rows.index(pairs.image_of[column]) for column in columns]
    return scores[rows][:, columns]


def _spread(corpus: Any, limit: int) -> Iterator[tuple[int, Any]]:
    """Units that are spread over the corpus: for each how many are left, itself included, first
    without and then with each of its records."""
    from schemas.spread import evenly_spread

    units = evenly_spread(corpus.units(limit), MAX_UNITS)
    for number, unit in enumerate(units):
        yield len(units) - number, None
        for record in corpus.read(unit):
            yield len(units) - number, record


def _print(report: dict[str, Any], found: list[Retrieval]) -> None:
    print(f"teacher  {report['teacher']}")
    print(f"pairs    {len(report['images'])} images, {len(report['captions'])} captions")
    for reason, number in report["left_out"].items():
        print(f"         left out: {number} x {reason}")
    for one in found:
        for k, recall in one.recall.items():
            print(
                f"{one.direction}  R@{k:<3} {recall.value:.3f}   "
                f"{recall.low:.3f} - {recall.high:.3f}   chance {one.chance[k]:.3f}   "
                f"of {one.queries} queries"
            )
