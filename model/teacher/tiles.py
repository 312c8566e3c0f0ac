"""Small things in large images: the image is also asked in tiles, and all answers become one.

A network sees every image at about one size; in a quarter of the image a thing is twice as large.
The idea is that of SAHI (Akyon et al. 2022, arXiv:2202.06934).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.teacher.asking import BatchedTeacher
from model.teacher.ensemble import EnsembleTeacher
from model.teacher.options import TeacherOptions
from schemas.boxes import box_areas, nms
from schemas.grounder import Grounding, GroundingRequest, ScoreFacts
from schemas.records import Span

MIN_TILE_PX = 32
"""An image whose tiles would be smaller is asked as a whole alone."""
EDGE_PX = 2.0
"""A box that ends so near to the edge of its tile, inside of the image, was cut by it."""
CONTAINED = 0.7
"""A cut box goes where so much of it lies in another box of its phrase."""
HALF_AS_SURE = 0.5
"""And that box has at least this share of its score."""


class Tile(NamedTuple):
    """A part of an image, in its pixels, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int


def tiles_of(size_wh: tuple[int, int], grid: tuple[int, int], overlap: float) -> list[Tile]:
    """Tiles of equal size, row by row, that together are the image; none of a small image.

    Args:
        size_wh: of the image.
        grid: how many across and down.
        overlap: share of a tile that it has in common with the next one.
    """
    spans = []
    for length, count in zip(size_wh, grid, strict=True):
        side = length / (count - (count - 1) * overlap)
        if side < MIN_TILE_PX:
            return []
        starts = [round(number * side * (1 - overlap)) for number in range(count)]
        size = min(length, round(side + 0.5))
        spans.append(
            [(min(start, length - size), min(start, length - size) + size) for start in starts]
        )
    across, down = spans
    return [Tile(x0, y0, x1, y1) for y0, y1 in down for x0, x1 in across]


class TiledTeacher:
    """A teacher that is asked about an image and its tiles; a `schemas.grounder.Grounder`.

    Args:
        teacher: Of any kind; its options say which tiles.
    """

    def __init__(self, teacher: BatchedTeacher[Any] | EnsembleTeacher) -> None:
        self._teacher = teacher
        self.options: TeacherOptions = teacher.options
        self.note = teacher.note
        self.scores: ScoreFacts = teacher.scores
        self.device = teacher.device

    @property
    def teacher_id(self) -> str:
        """The teacher's."""
        return self._teacher.teacher_id

    @property
    def batch_size(self) -> int:
        """The teacher's."""
        return self._teacher.batch_size

    @property
    def before_batch(self) -> Callable[[], object]:
        """Called before each batch."""
        return self._teacher.before_batch

    @before_batch.setter
    def before_batch(self, call: Callable[[], object]) -> None:
        self._teacher.before_batch = call

    def fingerprint(self) -> Mapping[str, object]:
        """The teacher's, whose options name the tiles."""
        return self._teacher.fingerprint()

    def size_key(self, size_wh: tuple[int, int]) -> Hashable:
        """The teacher's, of the whole image."""
        return self._teacher.size_key(size_wh)

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Candidates for the phrases of every caption; see `BatchedTeacher.ground`."""
        tiles = [self._tiles(request.image) for request in requests]
        asked = [
            replace(request, image=_cut(request.image, tile))
            for request, own in zip(requests, tiles, strict=True)
            for tile in own
        ]
        wholes = self._teacher.ground(requests)
        return self._merged(requests, tiles, wholes, self._teacher.ground(asked) if asked else [])

    def detect(self, image: NDArray[np.uint8], names: Sequence[str]) -> Grounding:
        """Candidates for class names in one image; see `BatchedTeacher.detect`."""
        return self.detect_batch([image], names)[0]

    def detect_batch(
        self, images: Sequence[NDArray[np.uint8]], names: Sequence[str]
    ) -> list[Grounding]:
        """`detect` for several images."""
        requests = [GroundingRequest(image=image, caption="", phrases=()) for image in images]
        tiles = [self._tiles(image) for image in images]
        cut = [_cut(image, t) for image, own in zip(images, tiles, strict=True) for t in own]
        wholes = self._teacher.detect_batch(images, names)
        found = self._teacher.detect_batch(cut, names) if cut else []
        return self._merged(requests, tiles, wholes, found)

    def best_scores(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, Sequence[Span]]]
    ) -> list[list[NDArray[np.float32]]]:
        """Those of the whole image; see `BatchedTeacher.best_scores`."""
        return self._teacher.best_scores(images, captions)

    def _tiles(self, image: NDArray[np.uint8]) -> list[Tile]:
        height, width = image.shape[:2]
        return tiles_of((width, height), self.options.tile_grid, self.options.tile_overlap)

    def _merged(
        self,
        requests: Sequence[GroundingRequest],
        tiles: Sequence[Sequence[Tile]],
        wholes: Sequence[Grounding],
        found: Sequence[Grounding],
    ) -> list[Grounding]:
        parts = iter(found)
        return [
            merge_tiles(
                whole,
                [(tile, next(parts)) for tile in own],
                size_wh=(request.image.shape[1], request.image.shape[0]),
                options=self.options,
            )
            for request, own, whole in zip(requests, tiles, wholes, strict=True)
        ]


def merge_tiles(
    whole: Grounding,
    parts: Sequence[tuple[Tile, Grounding]],
    *,
    size_wh: tuple[int, int],
    options: TeacherOptions,
) -> Grounding:
    """One answer from those of an image and of its tiles.

    Of a phrase's boxes that overlap the best stays (NMS). A box that its tile has cut, and that
    lies in another box of its phrase, goes: it is a part of that thing.

    Args:
        whole: of the whole image.
        parts: tile and its answer, boxes in pixels of the tile.
        size_wh: of the image.
        options: `nms_iou` and `max_boxes_per_phrase`.
    """
    if not parts:
        return whole
    shifted = [
        replace(answer, xyxy=answer.xyxy + np.array([t.x0, t.y0] * 2, np.float32))
        for t, answer in parts
    ]
    cut = [np.zeros(len(whole.score), bool)]
    cut += [_is_cut(own.xyxy, t, size_wh) for (t, _), own in zip(parts, shifted, strict=True)]
    everything = _joined([whole, *shifted])
    is_cut = np.concatenate(cut)
    kept = []
    for index in range(len(whole.phrase_status)):
        own = np.flatnonzero(everything.phrase_index == index)
        own = own[nms(everything.xyxy[own], everything.score[own], options.nms_iou)]
        own = own[~_is_part(everything.xyxy[own], everything.score[own], is_cut[own])]
        kept.append(own[: options.max_boxes_per_phrase or None])
    order = np.concatenate([np.zeros(0, np.int64), *kept])
    return everything.take(order[np.argsort(-everything.score[order], kind="stable")])


def _joined(answers: Sequence[Grounding]) -> Grounding:
    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(answer, name) for answer in answers])

    return replace(
        answers[0],
        xyxy=of("xyxy"),
        phrase_index=of("phrase_index"),
        score=of("score"),
        token_score=of("token_score"),
        centerness=of("centerness"),
        phrase_best_score=np.max([answer.phrase_best_score for answer in answers], axis=0),
        proposed_by=tuple(name for answer in answers for name in answer.proposed_by),
    )


def _is_cut(xyxy: NDArray[np.float32], tile: Tile, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes end at an edge of their tile that is not one of the image, [N]."""
    width, height = size_wh
    found = np.zeros(len(xyxy), bool)
    for side, edge, border in zip(range(4), tile, (0, 0, width, height), strict=True):
        if edge != border:
            found |= np.abs(xyxy[:, side] - edge) <= EDGE_PX
    return found


def _is_part(
    xyxy: NDArray[np.float32], score: NDArray[np.float32], is_cut: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which boxes of a phrase are cut parts of others, [N]."""
    if not is_cut.any():
        return is_cut
    low = np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    high = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    areas = box_areas(xyxy)
    contained = shared >= CONTAINED * areas[:, None]
    sure = score[None, :] >= HALF_AS_SURE * score[:, None]
    return np.asarray(is_cut & (contained & sure & (areas[None, :] > areas[:, None])).any(1))


def _cut(image: NDArray[np.uint8], tile: Tile) -> NDArray[np.uint8]:
    return image[tile.y0 : tile.y1, tile.x0 : tile.x1]
