"""Random curated records with pictures on disk, for round trips through the formats."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.curation.curate import ensure_curated, iter_curated
from pipeline.curation.recommended import policy_of
from pipeline.curation.rules.presets import get_policy
from pipeline.export import FORMATS, ExportOptions, export_records
from pipeline.gold import load_gold
from pipeline.gold.gold_set import GoldSet
from pipeline.imported.write import ImportOptions, write_run
from pipeline.run.store import RunStore
from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedBox, CuratedRecord, Phrase

WORDS = ("a dog", "two kids", "ein Fuß", "😀 hat", "a red kite", "the café", "猫", "an apple")


def random_records(folder: Path, seed: int, num_images: int = 8) -> list[CuratedRecord]:
    """Pairs of images with one to three captions: negatives, several boxes per phrase, several
    phrases per box, boxes at the very edge, images without a box."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(num_images):
        size = rng.randint(9, 90), rng.randint(9, 90)
        path = folder / f"{number:03d}.png"
        noise = np.random.default_rng(seed + number).integers(0, 256, (size[1], size[0], 3))
        Image.fromarray(noise.astype(np.uint8)).save(path)
        sha = sha256_bytes(path.read_bytes())
        for caption_number in range(rng.randint(1, 3)):
            records.append(_record(rng, number, caption_number, path, sha, size))
    return records


def _record(
    rng: random.Random, number: int, place: int, path: Path, sha: str, size: tuple[int, int]
) -> CuratedRecord:
    caption, phrases = f"{place}:", []
    for words in rng.sample(WORDS, rng.randint(1, 4)):
        start = len(caption) + 1
        caption += f" {words} and"
        head = words.split()[-1].lower()
        phrases.append(Phrase(text=words, start=start, end=start + len(words), head=head))
    record_id = f"r/{number}/{place}"
    boxes = []
    for ordinal in range(rng.choice((0, 1, 2, 5))):
        xyxy = (*_edges(rng, size[0]), *_edges(rng, size[1]))
        corners = tuple(float(np.float32(v)) for v in (xyxy[0], xyxy[2], xyxy[1], xyxy[3]))
        if any(box.xyxy == corners for box in boxes):
            continue  # two boxes at one place are one box with several phrases to most formats
        named = rng.sample(range(len(phrases)), rng.randint(1, min(2, len(phrases))))
        boxes.append(
            CuratedBox(
                box_id=f"{record_id}#{ordinal}",
                xyxy=corners,  # type: ignore[arg-type]
                phrase_indices=tuple(sorted(named)),
                score=float(np.float32(rng.random())),
                origin=rng.choice(("teacher", "human")),
            )
        )
    return CuratedRecord(
        record_id=record_id,
        source="test",
        image_uri=str(path),
        image_sha256=sha,
        width=size[0],
        height=size[1],
        caption=caption,
        phrases=tuple(phrases),
        boxes=tuple(boxes),
        teacher_id="fake@0",
        policy_id="default@0",
        decisions_id="",
    )


def _edges(rng: random.Random, side: int) -> tuple[float, float]:
    # GLIP's loader takes nothing beyond the last pixel, so that boxes begin before it.
    low = rng.choice((0.0, rng.uniform(0, side - 4)))
    return low, rng.choice((float(side), rng.uniform(low + 1.5, side - 1)))


def exported(
    records: list[CuratedRecord], name: str, folder: Path, image_root: str = "", **options: object
) -> str:
    """Export in a format; the path."""
    path = str(folder / f"out-{name}{FORMATS[name].extension}")
    known = options.pop("known_categories", None)
    if FORMATS[name].images == "reference":
        options["image_root"] = image_root
    chosen = ExportOptions(**options)  # type: ignore[arg-type]
    export_records(records, name, path, chosen, known_categories=known)  # type: ignore[arg-type]
    return path


def imported(gold: GoldSet, path: str, folder: Path) -> Iterator[CuratedRecord]:
    """What `glipforge import` makes of a gold set, curated."""
    run = RunStore(folder)
    write_run(gold, path, run, ImportOptions())
    policy = get_policy(policy_of(run))
    ensure_curated(run, policy)
    return iter_curated(run, policy.policy_id)


GOLD_FORMAT = {"goldg": "mdetr", "odvg-detection": "odvg", "hf-imagefolder": "imagefolder"}


def load(path: str, name: str, image_root: str) -> GoldSet:
    """Read an export back."""
    root = image_root if FORMATS[name].images == "reference" else ""
    label_map = path.replace(".jsonl", ".label_map.json") if name == "odvg-detection" else ""
    return load_gold(path, GOLD_FORMAT.get(name, name), image_root=root, label_map=label_map)
