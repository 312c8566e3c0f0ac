"""Drawn scenes as labelled rows: their true boxes as candidates, and wrong ones below."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.review.sync.label.notes import Notes, Suspicion
from pipeline.world import CorpusShape, SceneOptions
from pipeline.world.writers import iter_scenes
from schemas.records import Annotation, GroundedBox, Phrase, Status

SIDE = 320
NOTED = 6
"""So many pairs at the end have notes: the policy keeps boxes above 0.5 and suspects the first."""
REASON = "another phrase fits here as well"


def drawn_rows(folder: Path, count: int, *, seed: int = 3) -> list[Annotation]:
    """Rows `toy/<n>` with their pictures in `folder`.

    Every phrase has its true boxes with scores from 0.9 downwards and one wrong box at 0.2. The
    picture is [320, 320] pixels; every row has at least two phrases.
    """
    shape = CorpusShape(
        name="review",
        scenes=count,
        nouns=("dog", "cat", "banana", "bicycle", "umbrella", "guitar"),
        options=SceneOptions(side=SIDE, nouns=(2, 3), max_copies=1, size=(0.2, 0.3)),
        seed=seed,
    )
    rows = []
    for number, (scene, caption) in enumerate(iter_scenes(shape)):
        data = scene.encode()
        path = folder / f"scene-{number}.jpg"
        path.write_bytes(data)
        record_id = f"toy/{number}"
        boxes: list[GroundedBox] = []
        for index, mention in enumerate(caption.mentions):
            wrong = (8.0 + 60 * index, 250.0, 58.0 + 60 * index, 310.0)
            found = [(0.9 - 0.1 * index, xyxy) for xyxy in mention.boxes] + [(0.2, wrong)]
            for score, xyxy in found:
                boxes.append(
                    GroundedBox(
                        box_id=f"{record_id}#{len(boxes)}",
                        phrase_index=index,
                        xyxy=xyxy,
                        score=score,
                        token_score=score,
                        centerness=score,
                    )
                )
        phrases = tuple(
            Phrase(
                text=caption.text[mention.span[0] : mention.span[1]],
                start=mention.span[0],
                end=mention.span[1],
                head=mention.noun,
                best_score=0.9 - 0.1 * index,
            )
            for index, mention in enumerate(caption.mentions)
        )
        rows.append(
            Annotation(
                record_id=record_id,
                source="toy",
                image_uri=str(path),
                image_sha256=hashlib.sha256(data).hexdigest(),
                width=SIDE,
                height=SIDE,
                caption=caption.text,
                status=Status.OK,
                detail="",
                phrases=phrases,
                boxes=tuple(boxes),
                teacher_id="fake@0",
            )
        )
    return rows


def drawn_notes(rows: list[Annotation]) -> Notes:
    """What a queue and a policy would say about these rows."""
    noted = rows[-NOTED:]
    ids = {row.record_id for row in noted}

    def keeps(row: Annotation) -> frozenset[str]:
        least = 0.5 if row.record_id in ids else 0.0
        return frozenset(box.box_id for box in row.boxes if box.score > least)

    suspects = {
        row.boxes[0].box_id: Suspicion(score=0.8 - 0.1 * number, reasons=(REASON,))
        for number, row in enumerate(noted)
    }
    suspects |= {row.boxes[0].box_id: Suspicion(score=0.8, reasons=(REASON,)) for row in noted[:2]}
    return Notes(suspects=suspects, keeps=keeps)
