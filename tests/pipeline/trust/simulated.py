"""Labels whose truth is known: arrays for many seeds, and a run on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.run.store import RunStore
from pipeline.trust.audit_sample import AuditSample
from schemas.records import Annotation, Decision, Status, Verdict
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_annotation, make_box, make_decision, make_phrase

FLOOR = 0.5


@dataclass(frozen=True, kw_only=True)
class World:
    """All labels of a run: score, image and truth of each."""

    score: NDArray[np.float32]
    image: NDArray[np.int64]
    right: NDArray[np.bool_]

    def precision_above(self, threshold: float) -> float:
        """The true one; 1 of no label."""
        above = self.score > np.float32(threshold)
        return float(self.right[above].mean()) if above.any() else 1.0


def make_world(seed: int, *, labels: int = 12_000, clustered: bool = False) -> World:
    """Precision rises with the score, from 0.6 at the floor to 0.97 at 1. Clustered: whole images
    of twenty labels are right or wrong together."""
    dice = np.random.default_rng(seed)
    score = (FLOOR + (1 - FLOOR) * dice.beta(1.5, 1.5, labels)).astype(np.float32)
    image = np.arange(labels) // 20
    luck = dice.random(image.max() + 1)[image] if clustered else dice.random(labels)
    chance = 0.97 - 0.37 * np.exp(-(score.astype(np.float64) - FLOOR) * 8)
    return World(score=score, image=image, right=luck < chance)


NOUNS = ("dog", "cat", "tree")


def simulated_run(
    folder: Path, seed: int = 0, *, rows: int = 300, units: int = 3
) -> tuple[RunStore, dict[str, bool]]:
    """A run of pairs with three phrases and up to six labels each, and box id -> truth."""
    dice = np.random.default_rng(seed)
    truth: dict[str, bool] = {}
    made = [_row(number, dice, truth) for number in range(rows)]
    parts = [made[n::units] for n in range(units)]
    run = folder_run(folder, parts[0], more_units=[len(part) for part in parts[1:]])
    for number, part in enumerate(parts[1:], start=1):
        commit_rows(run, number, part)
    return run, truth


def _row(number: int, dice: np.random.Generator, truth: dict[str, bool]) -> Annotation:
    caption = " and ".join(f"a {noun}" for noun in NOUNS)
    boxes = []
    for ordinal in range(int(dice.integers(0, 7))):
        score = float(np.float32(0.4 + 0.6 * dice.beta(1.5, 1.5)))
        # Apart from each other, so that no rule about overlap speaks.
        x = 10.0 * ordinal
        box_id = f"sim/{number}#{ordinal}"
        truth[box_id] = bool(dice.random() < 0.97 - 0.6 * np.exp(-(score - 0.4) * 6))
        boxes.append(
            make_box(
                box_id=box_id,
                phrase_index=int(dice.integers(0, len(NOUNS))),
                score=score,
                xyxy=(x, 5.0, x + 8.0, 20.0),
            )
        )
    return make_annotation(
        record_id=f"sim/{number}",
        caption=caption,
        phrases=tuple(make_phrase(caption, f"a {noun}", head=noun) for noun in NOUNS),
        boxes=tuple(boxes),
        status=Status.OK if boxes else Status.NO_BOXES,
    )


def honest_verdicts(
    sample: AuditSample, truth: dict[str, bool], *, named: str = "d"
) -> list[Decision]:
    """What a reviewer who knows the truth decides about every drawn label."""
    return [
        make_decision(
            decision_id=f"{named}{number}",
            record_id=one.record_id,
            box_id=one.box_id,
            verdict=Verdict.KEEP if truth[one.box_id] else Verdict.DROP,
            xyxy=None,
            phrase_index=None,
        )
        for number, one in enumerate(sample.drawn)
    ]
