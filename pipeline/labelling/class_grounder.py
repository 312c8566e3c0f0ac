"""A teacher asked for classes: their wordings and competitors go in, boxes of classes come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.phrases.class_list import ClassList, list_caption
from schemas.boxes import nms, pairwise_iou
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus

SAME_BOX_IOU = 0.6
"""Boxes of two wordings of a class that overlap more are one object: the better one stays."""
COMPETING_IOU = 0.5
"""A box of a class goes where a competitor has a better one that overlaps so much."""


class ClassListParser:
    """The parser of a run over classes: every caption is the list, every phrase a class."""

    def __init__(self, classes: ClassList) -> None:
        self._classes = classes
        self._phrases = classes.phrases

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """The classes, for each caption."""
        return [self._phrases] * len(captions)

    def fingerprint(self) -> dict[str, object]:
        """The list."""
        return self._classes.fingerprint()


class ClassGrounder:
    """A teacher whose phrases are classes.

    Wordings are phrases of one caption, so the image is computed once however many there are.
    """

    def __init__(self, grounder: Grounder, classes: ClassList) -> None:
        self._grounder = grounder
        asked: dict[str, int] = {}
        self._wordings = [
            [asked.setdefault(word, len(asked)) for word in entry.wordings]
            for entry in classes.entries
        ]
        self._competitors = [
            [asked.setdefault(word, len(asked)) for word in entry.competitors]
            for entry in classes.entries
        ]
        self._caption, self._phrases = list_caption(list(asked))

    @property
    def teacher_id(self) -> str:
        """The teacher's."""
        return self._grounder.teacher_id

    def fingerprint(self) -> Mapping[str, object]:
        """The teacher's; the classes are in the parser's."""
        return self._grounder.fingerprint()

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Answer requests whose phrases are the classes, in the order of the list."""
        asked = [
            replace(request, caption=self._caption, phrases=self._phrases) for request in requests
        ]
        return [self._of_classes(found) for found in self._grounder.ground(asked)]

    def _of_classes(self, found: Grounding) -> Grounding:
        kept, classes = [], []
        for number, wordings in enumerate(self._wordings):
            own = self._boxes_of(found, number, wordings)
            kept.append(own)
            classes.append(np.full(len(own), number, dtype=np.int64))
        order = np.concatenate(kept)
        index = np.concatenate(classes)
        best_first = np.argsort(-found.score[order], kind="stable")
        order, index = order[best_first], index[best_first]
        return replace(
            found.take(order),
            phrase_index=index,
            phrase_best_score=np.array(
                [found.phrase_best_score[words].max() for words in self._wordings], np.float32
            ),
            phrase_status=tuple(
                PhraseStatus.OK
                if any(found.phrase_status[word] is PhraseStatus.OK for word in words)
                else PhraseStatus.TRUNCATED
                for words in self._wordings
            ),
        )

    def _boxes_of(
        self, found: Grounding, number: int, wordings: Sequence[int]
    ) -> NDArray[np.int64]:
        """Which candidates are boxes of a class."""
        own = np.flatnonzero(np.isin(found.phrase_index, wordings))
        if len(wordings) > 1:
            own = own[nms(found.xyxy[own], found.score[own], SAME_BOX_IOU)]
        others = np.flatnonzero(np.isin(found.phrase_index, self._competitors[number]))
        if len(own) and len(others):
            overlaps = pairwise_iou(found.xyxy[own], found.xyxy[others]) >= COMPETING_IOU
            is_beaten = overlaps & (found.score[others][None, :] > found.score[own][:, None])
            own = own[~is_beaten.any(axis=1)]
        return own
