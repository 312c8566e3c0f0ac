"""The pair that a window shows, as MongoDB has it."""

from __future__ import annotations

from typing import Any

from tests.pipeline.review.bench import Bench

MARGIN = 0.01
"""Of a picture's side, around other boxes: their lines take clicks too."""
TAG = (0.24, 0.06)
"""Width and height of the word above a box, which takes them as well."""


class OpenedPair:
    """One pair of a dataset of drawn scenes."""

    def __init__(self, bench: Bench, number: int = 0) -> None:
        self.bench = bench
        self.number = number

    def box(self, ordinal: int) -> str:
        """The id of a box of the opened pair."""
        return f"toy/{self.number}#{ordinal}"

    def label(self, ordinal: int) -> dict[str, Any]:
        """A label of the opened pair."""
        return self.labels()[ordinal]

    def labels(self) -> list[dict[str, Any]]:
        """The labels of the opened pair."""
        return list(self.bench.document(self.number)["boxes"]["detections"])

    def others(self, *ordinals: int) -> list[dict[str, Any]]:
        """The labels of the opened pair but some."""
        return [label for n, label in enumerate(self.labels()) if n not in ordinals]

    def reviews(self) -> list[str]:
        """The words on the boxes of the opened pair, in order."""
        return [str(label["review"]) for label in self.labels()]

    def is_fresh(self) -> bool:
        """Whether no test judged it, and its first boxes can be clicked."""
        labels = self.labels()
        if {label["review"] for label in labels} != {"pending"}:
            return False
        try:
            return all(self.free_point(ordinal) for ordinal in range(min(3, len(labels))))
        except AssertionError:
            return False

    def free_point(self, ordinal: int) -> tuple[float, float]:
        """The point of a box nearest to its centre that lies in no other box, as shares of the
        picture.

        Raises:
            AssertionError: others cover it.
        """
        x, y, width, height = self.label(ordinal)["bounding_box"]
        others = [label["bounding_box"] for label in self.others(ordinal)]
        shares = sorted((n / 10 for n in range(1, 10)), key=lambda share: abs(share - 0.5))
        for point in ((x + width * u, y + height * v) for u in shares for v in shares):
            if not any(_holds(other, point) for other in others):
                return point
        raise AssertionError(f"other boxes cover {self.box(ordinal)}")


def _holds(box: list[float], point: tuple[float, float]) -> bool:
    x, y, width, height = box
    return (
        x - MARGIN <= point[0] <= x + max(width, TAG[0]) + MARGIN
        and y - TAG[1] - MARGIN <= point[1] <= y + height + MARGIN
    )
