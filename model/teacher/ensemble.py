"""Several teachers asked about the same pixels, their boxes fused phrase by phrase.

Scores of two teachers cannot be compared. Each is first bent so that its recommended threshold
becomes 0.5 (a power: 0 and 1 stay, the order stays); then boxes are joined by weighted box fusion.
A box that one of two teachers proposes has half of its score; of a phrase that one cannot read, too
long for it, the answer is the others'.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from model.teacher.asking import BatchedTeacher
from schemas.errors import ConfigError, RecordError
from schemas.fusion import FUSION_IOU, fuse_boxes
from schemas.grounder import TOGETHER, Grounding, GroundingRequest, ScoreFacts
from schemas.records import PhraseStatus, Span

_AnswerT = TypeVar("_AnswerT")

ENSEMBLE_SCORES = ScoreFacts(
    recommended_threshold=0.5,
    meaning="weighted box fusion: the mean of the teachers' scores, each bent so that its "
    "recommended threshold is 0.5, times the share of teachers that have a box here",
)


def members_of(source: Path | str | None) -> tuple[Path | str | None, ...]:
    """The teachers that `--teacher A,B` names; one where there is no comma, or such a directory.

    Raises:
        ConfigError: a name is empty, or given twice.
    """
    if not isinstance(source, str) or "," not in source or Path(source).exists():
        return (source,)
    names = [name.strip() for name in source.split(",")]
    if not all(names):
        raise ConfigError(f"teacher must be names with commas between them, got {source!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"teacher must name each member of an ensemble once, got {source!r}")
    return tuple(names)


def ensemble_identity(
    identities: Sequence[tuple[str, Mapping[str, object]]],
) -> tuple[str, Mapping[str, object]]:
    """`teacher_id` and fingerprint of an ensemble, from its members'.

    Raises:
        ConfigError: two members are the same model.
    """
    ids = [teacher_id for teacher_id, _ in identities]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"teacher: {ids[0]} is given twice under different names")
    together = TOGETHER.join(ids)
    return together, {
        "teacher_id": together,
        "members": {teacher_id: dict(found) for teacher_id, found in identities},
        "fusion": {"kind": "weighted_box_fusion", "iou": FUSION_IOU, "over": "asked"},
    }


class EnsembleTeacher:
    """Teachers that answer as one; implements `schemas.grounder.Grounder`.

    Args:
        members: two or more.
    """

    scores = ENSEMBLE_SCORES

    def __init__(self, members: Sequence[BatchedTeacher[Any]]) -> None:
        self.members = tuple(members)
        self._teacher_id, self._fingerprint = ensemble_identity(
            [(member.teacher_id, member.fingerprint()) for member in members]
        )
        self._ids = [member.teacher_id for member in members]
        self.note = "; ".join(dict.fromkeys(m.note for m in members if m.note))
        self.options = members[0].options
        self.device = members[0].device

    @property
    def teacher_id(self) -> str:
        """Those of the members, joined."""
        return self._teacher_id

    @property
    def batch_size(self) -> int:
        """The smallest of the members'."""
        return min(member.batch_size for member in self.members)

    @property
    def before_batch(self) -> Callable[[], object]:
        """Called before each batch of each member."""
        return self.members[0].before_batch

    @before_batch.setter
    def before_batch(self, call: Callable[[], object]) -> None:
        for member in self.members:
            member.before_batch = call

    def fingerprint(self) -> Mapping[str, object]:
        """Those of the members, and the fusion."""
        return self._fingerprint

    def size_key(self, size_wh: tuple[int, int]) -> Hashable:
        """Images of an equal key may share a batch of every member."""
        return tuple(member.size_key(size_wh) for member in self.members)

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Candidates for the phrases of every caption; see `BatchedTeacher.ground`."""
        return self._fused([_named(m, m.ground, requests) for m in self.members])

    def detect(self, image: NDArray[np.uint8], names: Sequence[str]) -> Grounding:
        """Candidates for class names in one image; see `BatchedTeacher.detect`."""
        return self.detect_batch([image], names)[0]

    def detect_batch(
        self, images: Sequence[NDArray[np.uint8]], names: Sequence[str]
    ) -> list[Grounding]:
        """`detect` for several images."""
        return self._fused([_named(m, m.detect_batch, images, names) for m in self.members])

    def best_scores(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, Sequence[Span]]]
    ) -> list[list[NDArray[np.float32]]]:
        """The mean of the scores, bent, of the members that can read a phrase; see
        `BatchedTeacher.best_scores`."""
        bent = [
            [
                [bend(scores, member.scores.recommended_threshold) for scores in row]
                for row in _named(member, member.scores_where_seen, images, captions)
            ]
            for member in self.members
        ]
        return [
            [_mean_of_seen(np.stack(own)) for own in zip(*rows, strict=True)]
            for rows in zip(*bent, strict=True)
        ]

    def _fused(self, answers: Sequence[Sequence[Grounding]]) -> list[Grounding]:
        return [self._fuse(found) for found in zip(*answers, strict=True)]

    def _fuse(self, found: Sequence[Grounding]) -> Grounding:
        bent = [
            bend(answer.score, member.scores.recommended_threshold)
            for answer, member in zip(found, self.members, strict=True)
        ]
        boxes: list[NDArray[np.float64]] = [np.zeros((0, 4))]
        scores: list[NDArray[np.float64]] = [np.zeros(0)]
        phrases: list[int] = []
        proposed: list[str] = []
        for index in range(len(found[0].phrase_status)):
            # Who cannot read a phrase does not speak against it.
            asked = [
                number
                for number, answer in enumerate(found)
                if answer.phrase_status[index] is PhraseStatus.OK
            ]
            own = {t: np.flatnonzero(found[t].phrase_index == index) for t in asked}
            if not any(map(len, own.values())):
                continue
            fused = fuse_boxes(
                [found[t].xyxy[at] for t, at in own.items()],
                [bent[t][at] for t, at in own.items()],
            )
            boxes.append(fused.xyxy)
            scores.append(fused.score)
            phrases += [index] * len(fused.score)
            proposed += [TOGETHER.join(self._ids[asked[t]] for t in who) for who in fused.members]
        score = np.concatenate(scores).astype(np.float32)
        best = [
            bend(answer.phrase_best_score, member.scores.recommended_threshold)
            for answer, member in zip(found, self.members, strict=True)
        ]
        whole = Grounding(
            xyxy=np.concatenate(boxes).astype(np.float32),
            phrase_index=np.array(phrases, np.int64),
            score=score,
            token_score=score,
            centerness=np.ones_like(score),
            phrase_best_score=np.max(best, axis=0).astype(np.float32),
            phrase_status=tuple(map(_status, zip(*(a.phrase_status for a in found), strict=True))),
            proposed_by=tuple(proposed),
        )
        return whole.take(np.argsort(-score, kind="stable"))


def _named(
    member: BatchedTeacher[Any], ask: Callable[..., list[_AnswerT]], *of: Any
) -> list[_AnswerT]:
    """An answer of a member; where it fails the reason says whose it is."""
    try:
        return ask(*of)
    except RecordError as error:
        raise RecordError(error.status, f"{member.teacher_id}: {error.detail}") from error


def _mean_of_seen(scores: NDArray[np.float64]) -> NDArray[np.float32]:
    """[members, phrases], NaN where one cannot read it -> [phrases]; 0 where none can."""
    number = np.isfinite(scores).sum(axis=0)
    return np.asarray(np.nansum(scores, axis=0) / np.maximum(number, 1), np.float32)


def bend(scores: NDArray[np.float32], threshold: float) -> NDArray[np.float64]:
    """Scores in [0, 1] to a power that makes a threshold in (0, 1) to 0.5."""
    return np.asarray(np.asarray(scores, np.float64) ** (math.log(0.5) / math.log(threshold)))


def _status(statuses: tuple[PhraseStatus, ...]) -> PhraseStatus:
    """OK where one of them saw the phrase."""
    return PhraseStatus.OK if PhraseStatus.OK in statuses else statuses[0]
