"""Rates of push and pull: `python -m tests.benchmarks.bench_review --pairs 10000`.

Makes pairs with 2 to 9 boxes on a few image files, pushes them into an empty dataset, reads them
back untouched, accepts every tenth box as an operator would, pulls that, and pushes again.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.review.database.server import open_database
from pipeline.review.home import ReviewHome, database_name, prepare_environment, review_home
from pipeline.review.sync.dataset.dataset_process import make_dataset
from pipeline.review.sync.label.documents import relative_box
from pipeline.review.sync.pull.pull import pull
from pipeline.review.sync.push.media import MediaStore
from pipeline.review.sync.push.push import push
from pipeline.review.sync.push.selection import Selection
from pipeline.review.sync.store.mongo_store import StoredDataset, get_dataset, open_store
from schemas.fingerprint import sha256_file
from schemas.records import Annotation, GroundedBox, Phrase, Status
from tests.pipeline.folder_run import folder_run

IMAGES = 50
SIZE_WH = (640, 480)
WORDS = ("a dog", "the red car", "two people", "a tree", "the house", "an umbrella")


def make_pairs(folder: Path, count: int, seed: int) -> list[Annotation]:
    """Annotations with random boxes for fixed captions."""
    rng = random.Random(seed)
    files = []
    for number in range(IMAGES):
        path = folder / f"{number}.jpg"
        Image.fromarray(np.full((SIZE_WH[1], SIZE_WH[0], 3), number, np.uint8)).save(path)
        files.append((str(path), sha256_file(path)))
    rows = []
    for number in range(count):
        texts = rng.sample(WORDS, 3)
        phrases, caption = [], ""
        for text in texts:
            caption += " and " if caption else ""
            phrases.append(Phrase(text=text, start=len(caption), end=len(caption) + len(text)))
            caption += text
        boxes = []
        for ordinal in range(rng.randint(2, 9)):
            x, y = rng.uniform(0, 500), rng.uniform(0, 400)
            corners = np.float32([x, y, x + rng.uniform(5, 130), y + rng.uniform(5, 75)])
            boxes.append(
                GroundedBox(
                    box_id=f"bench/{number}#{ordinal}",
                    phrase_index=rng.randrange(3),
                    xyxy=tuple(float(v) for v in corners),
                    score=rng.random(),
                    token_score=0.5,
                    centerness=0.5,
                )
            )
        uri, sha256 = files[number % IMAGES]
        rows.append(
            Annotation(
                record_id=f"bench/{number}",
                source="bench",
                image_uri=uri,
                image_sha256=sha256,
                width=SIZE_WH[0],
                height=SIZE_WH[1],
                caption=caption,
                status=Status.OK,
                detail="",
                phrases=tuple(phrases),
                boxes=tuple(boxes),
                teacher_id="bench@0",
            )
        )
    return rows


@contextmanager
def timed(name: str, count: int) -> Iterator[None]:
    """Print wall and CPU seconds and the rate."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<34}{wall:8.2f} s wall {cpu:8.2f} s CPU {count / wall:10.0f} pairs/s", flush=True)


def judge(stored: StoredDataset) -> None:
    """Accept every tenth box, by label id, in one update per sample."""
    from pymongo import UpdateOne

    updates = []
    for document in stored.samples.find({}, {"boxes.detections._id": 1}):
        for label in document["boxes"]["detections"][::10]:
            key = {"_id": document["_id"], "boxes.detections._id": label["_id"]}
            updates.append(UpdateOne(key, {"$set": {"boxes.detections.$.review": "accepted"}}))
    stored.samples.bulk_write(updates, ordered=False)


def add_samples(home: ReviewHome, uri: str, rows: list[Annotation]) -> float:
    """CPU seconds per pair of FiftyOne's own way: the same boxes as samples, `dynamic=True`."""
    prepare_environment(home, uri)
    import fiftyone as fo

    dataset = fo.Dataset("plain")
    before = time.process_time()
    samples = []
    for row in rows:
        boxes = [
            fo.Detection(
                label=row.phrases[box.phrase_index].text,
                bounding_box=relative_box(box.xyxy, (row.width, row.height)),
                confidence=box.score,
                box_id=box.box_id,
                phrase_index=box.phrase_index,
                review="pending",
            )
            for box in row.boxes
        ]
        sample = fo.Sample(filepath=row.image_uri, caption=row.caption, record_id=row.record_id)
        sample["boxes"] = fo.Detections(detections=boxes)
        samples.append(sample)
    dataset.add_samples(samples, dynamic=True)
    return (time.process_time() - before) / len(rows)


def main() -> None:
    """Run every step once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", type=int, default=1_000, help="pairs for add_samples")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_pairs(folder, args.pairs, args.seed)
        run = folder_run(folder / "run", rows)
        home = review_home(folder / "home")
        print(f"{len(rows)} pairs, {sum(len(row.boxes) for row in rows)} boxes")
        with open_database(home) as database, open_store(database.uri, database_name()) as store:
            with timed("make the dataset (FiftyOne)", 0):
                make_dataset(home, database.uri, "bench", {})
            stored = get_dataset(store, "bench")

            def do_push() -> Any:
                return push(
                    stored,
                    lambda: iter(rows),
                    load_decisions(run),
                    media=MediaStore(home.media),
                    selection=Selection(),
                )

            def do_pull() -> Any:
                return pull(
                    stored,
                    rows,
                    load_decisions(run),
                    append=lambda new: append_decisions(run, new),
                    reviewer="bench",
                )

            steps: list[tuple[str, Callable[[], Any]]] = [
                ("push into an empty dataset", do_push),
                ("pull, nothing changed", do_pull),
                ("accept every tenth box", lambda: judge(stored)),
                ("pull those decisions", do_pull),
                ("pull again", do_pull),
                ("push again", do_push),
            ]
            cpu: dict[str, float] = {}
            for title, step in steps:
                before = time.process_time()
                with timed(title, len(rows)):
                    step()
                cpu[title] = (time.process_time() - before) / len(rows)
            plain = add_samples(home, database.uri, rows[: args.plain])
            ours = cpu["push into an empty dataset"]
            print(
                f"CPU of this process per pair: push {ours * 1e3:.2f} ms, FiftyOne's add_samples "
                f"of {min(args.plain, len(rows))} of them {plain * 1e3:.2f} ms: {plain / ours:.1f} "
                "times as much"
            )


if __name__ == "__main__":
    main()
