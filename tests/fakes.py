"""Deterministic stand-ins for the heavy parts: a grounder and a caption parser without models."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from schemas.errors import RecordError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus, Status

FLOOR = 0.1
_NOUN = re.compile(r"\b(?:(?:a|an|the|two) )?(?!and\b|with\b|near\b|a\b|an\b|the\b|two\b)\w+")


@dataclass
class FakeGrounder:
    """Boxes that depend on the pixels and the phrase alone; behaves badly on command.

    delay_s: Per image.
    log: Each call appends the captions it was asked about, one per line.
    die_on, hang_on, raise_on, refuse_on: A caption with this text ends the process, never comes
        back, raises RuntimeError, raises RecordError.
    spoil_on: Fails whenever more than one request is given and one has this text.
    """

    delay_s: float = 0.0
    log: Path | None = None
    die_on: str = "\0"
    hang_on: str = "\0"
    raise_on: str = "\0"
    refuse_on: str = "\0"
    spoil_on: str = "\0"
    nan_on: str = "\0"
    weights: str = "0"
    calls: list[int] = field(default_factory=list)
    before_batch: Callable[[], object] = lambda: None

    @property
    def teacher_id(self) -> str:
        return f"fake@{self.weights}"

    def fingerprint(self) -> Mapping[str, object]:
        return {"teacher_id": self.teacher_id, "floor": FLOOR}

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        self.calls.append(len(requests))
        captions = [request.caption for request in requests]
        if self.log is not None:
            # One write of a whole line each: O_APPEND keeps lines of several workers apart.
            with self.log.open("a") as stream:
                stream.write("".join(f"{caption!r}\n" for caption in captions))
        for _ in requests:
            self.before_batch()
            time.sleep(self.delay_s)
        text = "\n".join(captions)
        if self.die_on in text:
            os._exit(7)
        if self.hang_on in text:
            time.sleep(3600)
        if self.raise_on in text or (len(requests) > 1 and self.spoil_on in text):
            raise RuntimeError(f"the fake grounder cannot answer {len(requests)} requests")
        if len(requests) == 1 and self.refuse_on in text:
            raise RecordError(Status.TEACHER_FAILED, "the fake grounder refuses")
        return [self._answer(request) for request in requests]

    def _answer(self, request: GroundingRequest) -> Grounding:
        height, width = request.image.shape[:2]
        pixels = hashlib.sha256(np.ascontiguousarray(request.image))  # not a copy of a large one
        found: list[tuple[float, int, list[float], float]] = []
        best = np.zeros(len(request.phrases), np.float32)
        for index, phrase in enumerate(request.phrases):
            if phrase.status is not PhraseStatus.OK:
                continue
            seen = pixels.copy()
            seen.update(phrase.text.encode())
            digest = seen.digest()
            rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
            for _ in range(rng.integers(0, 4)):
                x0, y0 = rng.uniform(0, 0.5, 2) * (width, height)
                x1, y1 = rng.uniform(0.6, 1, 2) * (width, height)
                score = float(np.float32(rng.uniform(0.02, 1)))
                best[index] = max(best[index], score)
                if score >= FLOOR:
                    found.append((score, index, [x0, y0, x1, y1], score))
        found.sort(key=lambda entry: (-entry[0], entry[1]))
        scores = np.array([entry[0] for entry in found], np.float32)
        if self.nan_on in request.caption:
            scores = scores * np.float32("nan")
        return Grounding(
            xyxy=np.array([entry[2] for entry in found], np.float32).reshape(-1, 4),
            phrase_index=np.array([entry[1] for entry in found], np.int64),
            score=scores,
            token_score=scores,
            centerness=scores,
            phrase_best_score=best,
            phrase_status=tuple(phrase.status for phrase in request.phrases),
        )


class FakeParser:
    """Every word with its article is a phrase; `it` is not visual. No grammar, exact spans."""

    def fingerprint(self) -> dict[str, object]:
        return {"extractor": "fake"}

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        return [
            tuple(
                Phrase(
                    text=match.group(),
                    start=match.start(),
                    end=match.end(),
                    head=match.group().split()[-1].lower(),
                    status=(
                        PhraseStatus.NOT_VISUAL
                        if match.group().lower() == "it"
                        else PhraseStatus.OK
                    ),
                )
                for match in _NOUN.finditer(caption)
            )
            for caption in captions
        ]
