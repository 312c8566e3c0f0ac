"""Runs with planted errors: swapped phrases, shifted boxes, missing boxes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.store import LayerRows, LayerStore
from pipeline.run.store import RunStore
from schemas.layer import KINDS, Layer
from schemas.records import Annotation
from tests.schemas.builders import make_annotation, make_box, make_phrase

POLICY = FilterPolicy(name="q", score_threshold=0.4)
CAPTION = "a dog near two cats"
PLACES = ((5.0, 5.0, 25.0, 25.0), (35.0, 5.0, 47.0, 17.0), (35.0, 30.0, 47.0, 42.0))


def row(number: int, *boxes: tuple[int, float, tuple[float, ...]]) -> Annotation:
    made = tuple(
        make_box(box_id=f"q/{number}#{n}", phrase_index=phrase, score=score, xyxy=xyxy)
        for n, (phrase, score, xyxy) in enumerate(boxes)
    )
    phrases = (
        make_phrase(CAPTION, "a dog", head="dog"),
        make_phrase(CAPTION, "two cats", head="cat"),
    )
    return make_annotation(record_id=f"q/{number}", caption=CAPTION, phrases=phrases, boxes=made)


def good(number: int, dice: np.random.Generator, *, score: float = 0.8) -> list:
    """A dog and two cats where they are, and what else a teacher says there, weakly."""
    jitter = dice.uniform(-1, 1, (3, 4))
    places = [
        tuple(np.add(place, moved).tolist()) for place, moved in zip(PLACES, jitter, strict=True)
    ]
    labels = [(n > 0, score + dice.uniform(-0.1, 0.1), place) for n, place in enumerate(places)]
    weak = [(n == 0, 0.12, place) for n, place in enumerate(places)]
    return [(int(phrase), float(s), place) for phrase, s, place in (*labels, *weak)]


def planted(seed: int, rows: int = 400) -> tuple[list[Annotation], set[str]]:
    """Pairs of which some labels are wrong, and those labels: phrases that were swapped while the
    right one stands at the place nearly as high, and boxes shifted from where the others say."""
    dice = np.random.default_rng(seed)
    made, wrong = [], set()
    for number in range(rows):
        boxes = good(number, dice)
        luck = dice.random()
        if luck < 0.12:  # swapped at one place
            _, score, place = boxes[0]
            boxes[0] = (1, score, place)
            boxes[3] = (0, score - float(dice.uniform(0.02, 0.3)), place)
            wrong.add(f"q/{number}#0")
            if boxes[3][1] > 0.4:
                wrong.discard("")  # the right phrase is a label too, and right
        elif luck < 0.25:  # shifted
            which = int(dice.integers(0, 3))
            phrase, score, (x0, y0, x1, y1) = boxes[which]
            move = (x1 - x0) * float(dice.uniform(0.45, 0.7))
            boxes[which] = (phrase, score, (x0 + move, y0, min(x1 + move, 64.0), y1))
            boxes.append((phrase, 0.35, (x0, y0, x1, y1)))
            wrong.add(f"q/{number}#{which}")
        made.append(row(number, *boxes))
    return made, wrong


def share_found(order: list[str], wrong: set[str], labels: int) -> float:
    """Of all errors, how many are in the first tenth of the labels."""
    first = order[: labels // 10]
    return len(wrong.intersection(first)) / len(wrong)


def write_opinions(
    run: RunStore, layer: str, values: dict[str, list[float | None]], *, maker: str = "m"
) -> None:
    """The columns of a layer, in the order of the run's candidates."""
    store, kind = LayerStore(run, layer), KINDS[layer]
    names = tuple(column.name for column in kind.columns)
    store.define(
        Layer(
            name=layer, key=kind.key, columns=names, run_plan=run.plan_id(), maker={"model": maker}
        )
    )
    ids = [box.box_id for one in run.iter_annotations() for box in one.boxes]
    said = {name: values.get(name, [0.0] * len(ids))[: len(ids)] for name in names}
    table = pa.table(
        {"box_id": ids, "status": ["ok"] * len(ids), "detail": [""] * len(ids), **said},
        schema=kind.schema(),
    )
    done = 0
    for commit in store.pending():
        own = table.slice(done, commit.num_boxes)
        store.commit(commit, LayerRows(table=own, statuses={"ok": len(own)}, examples={}), {})
        done += len(own)
