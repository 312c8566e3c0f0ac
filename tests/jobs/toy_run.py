"""A labelled run of three drawn pictures with gold beside it, for the commands after labelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from schemas.fingerprint import sha256_bytes
from schemas.records import Annotation, Status
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation, make_box, make_phrase

if TYPE_CHECKING:
    from pipeline.run.store import RunStore

CAPTION = "a red box and a blue box"
RED, BLUE = (4.0, 6.0, 24.0, 30.0), (36.0, 10.0, 60.0, 40.0)
AWAY = (30.0, 41.0, 34.0, 47.0)


def draw_picture(path: Path) -> None:
    pixels = np.full((48, 64, 3), 140, dtype=np.uint8)
    pixels[6:30, 4:24] = (220, 30, 30)
    pixels[10:40, 36:60] = (40, 60, 220)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def toy_rows(folder: Path) -> list[Annotation]:
    """The first pair right, the second with its phrases swapped, the third without a box."""
    rows = []
    for number, places in enumerate(((RED, BLUE), (BLUE, RED), ())):
        path = folder / "images" / f"{number}.png"
        draw_picture(path)
        boxes = tuple(
            make_box(box_id=f"toy/{number}#{n}", phrase_index=n, xyxy=xyxy, score=0.9 - n / 10)
            for n, xyxy in enumerate(places)
        )
        if places:
            box_id = f"toy/{number}#2"
            boxes += (make_box(box_id=box_id, phrase_index=0, xyxy=AWAY, score=0.3),)
        rows.append(
            make_annotation(
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
        )
    return rows


def write_gold(folder: Path, *, detection: bool = False) -> str:
    """Gold of the three pictures: MDETR grounding, or COCO detection."""
    images, annotations = [], []
    for number in range(3):
        image = {"id": number, "file_name": f"images/{number}.png", "width": 64, "height": 48}
        images.append(image if detection else image | {"caption": CAPTION})
        for place, (x0, y0, x1, y1) in enumerate((RED, BLUE)):
            entry = {"image_id": number, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
            if detection:
                entry["category_id"] = place + 1
            else:
                text = ("a red box", "a blue box")[place]
                start = CAPTION.index(text)
                entry |= {"category_id": 1, "tokens_positive": [[start, start + len(text)]]}
            annotations.append(entry | {"id": len(annotations) + 1})
    names = ["red box", "blue box"] if detection else ["object"]
    categories = [{"id": n, "name": name} for n, name in enumerate(names, start=1)]
    path = folder / ("coco.json" if detection else "gold.json")
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return str(path)


def toy_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    """The run, at RUN of the folder, which becomes the working directory."""
    monkeypatch.chdir(folder)
    return folder_run(folder / "RUN", toy_rows(folder), more_units=[1])
