"""What the rules have written so far, and the boxes that are left for the next one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Candidates, Ints
from pipeline.curation.rules.filter_result import CODE_OF
from pipeline.curation.rules.overlap import best_first


class FilterState:
    """The codes written so far, and the boxes that no rule has dropped yet."""

    def __init__(self, candidates: Candidates, scores: NDArray[np.float32]) -> None:
        self.candidates = candidates
        self.scores = scores
        self.codes = np.zeros(candidates.num_boxes, dtype=np.uint8)
        self.alive: Ints = np.zeros(0, np.int64)
        self.boxes: NDArray[np.float64] = np.zeros((0, 4))
        """Of the boxes alive, [K, 4]."""

    def mark(self, where: NDArray[np.bool_], reason: str) -> None:
        """Drop boxes by a mask over all candidates."""
        self.codes[where & (self.codes == 0)] = CODE_OF[reason]

    def look_closer(self) -> None:
        """From here on only the boxes that the cheap rules left are looked at."""
        self.alive = np.flatnonzero(self.codes == 0)
        self.boxes = self.candidates.boxes_at(self.alive)

    def drop(self, where: NDArray[np.bool_], reason: str) -> None:
        """Drop boxes by a mask over those alive."""
        if where.any():
            self.codes[self.alive[where]] = CODE_OF[reason]
            self.alive, self.boxes = self.alive[~where], self.boxes[~where]

    def by_phrase(self) -> Ints:
        """Order of the boxes alive: by phrase, best first."""
        return best_first(self.phrases(), self.scores[self.alive])

    def by_row(self) -> Ints:
        """Order of the boxes alive: by pair, best first."""
        return best_first(self.rows(), self.scores[self.alive])

    def phrases(self) -> Ints:
        """Of the boxes alive."""
        return self.candidates.phrase_of[self.alive]

    def rows(self) -> Ints:
        """Of the boxes alive."""
        return self.candidates.row_of[self.alive]
