"""A labelling whose teacher costs nothing, or a set time without a core: what is left is ours.

The corpus is Parquet with few distinct pictures, so that a million rows take little disk; every
caption is different, with words that no vocabulary knows. Captions are cut by the real parser
unless `parse=False`.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jobs.labelling.setup import Tools
from pipeline.corpus import Corpus, open_corpus
from pipeline.labelling.annotate_unit import aspect_key
from pipeline.labelling.pairs import CaptionParser, PairLimits
from pipeline.phrases.parser_process import PhraseProcess
from pipeline.world import nouns_of
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import PhraseStatus
from tests.fakes import FakeParser

BOXES_PER_PHRASE = 4
NUM_PICTURES = 64


@dataclass(frozen=True)
class SyntheticGrounder:
    """Four boxes for each phrase, by arithmetic. wait_ms: per image, as a GPU would take them."""

    wait_ms: float = 0.0
    teacher_id: str = "synthetic@0"

    def fingerprint(self) -> Mapping[str, object]:
        """The name."""
        return {"teacher_id": self.teacher_id}

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Answers that depend on the request alone."""
        time.sleep(self.wait_ms / 1000 * len(requests))
        return [_answer(request) for request in requests]


def _answer(request: GroundingRequest) -> Grounding:
    height, width = request.image.shape[:2]
    asked = [n for n, phrase in enumerate(request.phrases) if phrase.status is PhraseStatus.OK]
    index = np.repeat(np.asarray(asked, np.int64), BOXES_PER_PHRASE)
    score = (0.9 / (1 + np.arange(len(index)) % 7)).astype(np.float32)
    shift = (np.arange(len(index), dtype=np.float32) % 5) / 10
    xyxy = np.stack([shift * width, shift * height, 0 * shift + width, 0 * shift + height], 1)
    best = np.zeros(len(request.phrases), np.float32)
    best[asked] = 0.9
    return Grounding(
        xyxy=xyxy.astype(np.float32),
        phrase_index=index,
        score=score,
        token_score=score,
        centerness=score,
        phrase_best_score=best,
        phrase_status=tuple(phrase.status for phrase in request.phrases),
    )


@dataclass(frozen=True, kw_only=True)
class SyntheticSetup:
    """A `LabelSetup` with that grounder."""

    corpus: str
    wait_ms: float = 0.0
    parse: bool = True
    """Cut captions by spaCy in its process; else by a regular expression."""
    limits: PairLimits = field(default_factory=PairLimits)

    def open_corpus(self) -> Corpus:
        """The corpus of `write_pairs`."""
        return open_corpus(self.corpus)

    def fingerprint(self) -> dict[str, Any]:
        """Without loading more than the parser."""
        parser: CaptionParser = PhraseProcess() if self.parse else FakeParser()
        return {
            "teacher": dict(SyntheticGrounder().fingerprint()),
            "phrases": parser.fingerprint(),
        }

    def teacher_id(self) -> str:
        """The name."""
        return SyntheticGrounder().teacher_id

    def load(self) -> Tools:
        """The real parser, or none."""
        parser: CaptionParser = PhraseProcess() if self.parse else FakeParser()
        return Tools(grounder=SyntheticGrounder(self.wait_ms), parser=parser, size_key=aspect_key)


def write_pairs(
    folder: Path, rows: int, *, rows_per_file: int = 5000, rows_per_group: int = 500, side: int = 96
) -> str:
    """Parquet files of pictures and captions; returns the folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures = [_picture(rng, side) for _ in range(NUM_PICTURES)]
    dice, nouns = random.Random(0), sorted(nouns_of("seen") + nouns_of("web"))
    for first in range(0, rows, rows_per_file):
        numbers = range(first, min(first + rows_per_file, rows))
        captions = [
            f"a {dice.choice(nouns)} near two {dice.choice(nouns)}s in front of "
            f"the {dice.choice(nouns)} of {_name(dice)}"
            for _ in numbers
        ]
        table = pa.table(
            {
                "id": [f"{number:09d}" for number in numbers],
                "image": pa.array([pictures[n % NUM_PICTURES] for n in numbers], pa.binary()),
                "caption": captions,
            }
        )
        pq.write_table(table, folder / f"{first:09d}.parquet", row_group_size=rows_per_group)
    return str(folder)


def _picture(rng: np.random.Generator, side: int) -> bytes:
    buffer = io.BytesIO()
    coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((side, side)).save(buffer, "JPEG")
    return buffer.getvalue()


def _name(dice: random.Random) -> str:
    return "".join(
        dice.choices("bcdfgklmnprstvz", k=1) + dice.choices("aeioubdlmnrst", k=7)
    ).title()
