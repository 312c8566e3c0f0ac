"""A labelled run of drawn pictures in several units, for what stands on layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.run.store import RunStore
from schemas.fingerprint import sha256_bytes
from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest
from schemas.records import Annotation, Status
from tests.pipeline.folder_run import commit_rows, folder_run
from tests.schemas.builders import make_annotation, make_box, make_phrase

CAPTION = "a red box and a blue box"
RED, BLUE = (4.0, 6.0, 24.0, 30.0), (36.0, 10.0, 60.0, 40.0)
UNIT = 3


def draw(path: Path, *, seed: int) -> None:
    """A picture of 64 x 48 pixels; another for each seed."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    pixels[6:30, 4:24] = (220, 30, 30)
    pixels[10:40, 36:60] = (40, 60, 220)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def drawn_row(folder: Path, number: int) -> Annotation:
    """Two boxes; every fifth row has none."""
    path = folder / "images" / f"{number}.png"
    draw(path, seed=number)
    boxes = tuple(
        make_box(box_id=f"toy/{number}#{n}", phrase_index=n, xyxy=xyxy, score=0.9 - n / 10)
        for n, xyxy in enumerate((RED, BLUE) if number % 5 != 4 else ())
    )
    return make_annotation(
        record_id=f"toy/{number}",
        image_uri=str(path),
        image_sha256=sha256_bytes(path.read_bytes()),
        caption=CAPTION,
        phrases=(
            make_phrase(CAPTION, "a red box", head="box", best_score=0.9),
            make_phrase(CAPTION, "a blue box", head="box", best_score=0.8),
        ),
        boxes=boxes,
        status=Status.OK if boxes else Status.NO_BOXES,
    )


def drawn_run(folder: Path, *, units: int = 2) -> RunStore:
    """A complete run of `units` times three pairs."""
    rows = [drawn_row(folder, number) for number in range(units * UNIT)]
    run = folder_run(folder / "run", rows[:UNIT], more_units=[UNIT] * (units - 1))
    for number in range(1, units):
        commit_rows(run, number, rows[number * UNIT : (number + 1) * UNIT])
    return run


class FakeScorer:
    """Says the width of a box over that of its image; counts the images that it was given."""

    kinds: tuple[LayerKind, ...] = (KINDS["clip"], KINDS["clip_image"])

    def __init__(self, *, fails_on: Collection[int] = (), version: int = 1) -> None:
        self.version = version
        self.images = 0
        self._fails_on = fails_on

    def fingerprint(self) -> Mapping[str, Any]:
        return {"model": f"fake@{self.version}"}

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        self.images += len(requests)
        answers: list[LayerAnswer] = []
        for request in requests:
            if int(request.image[0, 0, 0]) in self._fails_on:
                raise RuntimeError("no answer")
            wide = ((request.boxes[:, 2] - request.boxes[:, 0]) / request.image.shape[1]).tolist()
            answers.append(
                {
                    "clip": {"score": wide, "cosine": [-v for v in wide]},
                    "clip_image": {"score": [0.5], "cosine": [0.25]},
                }
            )
        return answers
