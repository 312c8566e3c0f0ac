"""Any records through any two formats: what comes back is what the first of them can say.

GLIPFORGE_ROUND_TRIPS gives the number of examples; a few in the suite, hundreds by hand.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedBox, CuratedRecord, Phrase
from tests.pipeline.imported.test_round_trip import (
    DETECTION,
    GROUNDING,
    detection_in,
    detection_of,
    grounding_in,
    grounding_of,
    in_turn,
)

EXAMPLES = int(os.environ.get("GLIPFORGE_ROUND_TRIPS", "12"))
NEED_IMAGES = ("hf", "flickr30k")
FORMATS = (*GROUNDING, "flickr30k")
PAIRS = [
    pair
    for pair in product(FORMATS, FORMATS)
    if not (pair[0] == "glip-tsv" and pair[1] in NEED_IMAGES)  # its rows name no files
]
DETECTION_PAIRS = list(product(DETECTION, DETECTION))
LETTERS = st.characters(
    exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cn"),
    exclude_characters="[]",  # Flickr30k's own marks
)
WORDS = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=3).map(" ".join)
BETWEEN = st.sampled_from([" ", ", ", " and ", " \u2014 ", ' "', "'s ", " / ", " \\ ", "; "])


@st.composite
def edges(draw: st.DrawFn, side: int) -> tuple[float, float]:
    """Two edges at least 1.5 pixels apart, the first before the last pixel."""
    low = draw(st.floats(0, side - 4, width=32))
    high = draw(st.one_of(st.just(float(side)), st.floats(low + 1.5, side - 1)))
    return float(np.float32(low)), float(np.float32(high))


@st.composite
def pairs_of_image(draw: st.DrawFn, number: int) -> list[CuratedRecord]:
    """One image of some size with one to three captions, their phrases and boxes."""
    width, height = draw(st.integers(9, 80)), draw(st.integers(9, 80))
    records = []
    for place in range(draw(st.integers(1, 3))):
        caption, phrases = f"{place}:", []
        for words in draw(st.lists(WORDS, min_size=1, max_size=3)):
            caption += draw(BETWEEN)
            start = len(caption)
            caption += words
            head = f"h{draw(st.integers(0, 3))}"
            phrases.append(Phrase(text=words, start=start, end=len(caption), head=head))
        record_id = f"r/{number}/{place}"
        boxes: dict[tuple[float, ...], CuratedBox] = {}
        for ordinal in range(draw(st.integers(0, 3))):
            x, y = draw(edges(width)), draw(edges(height))
            xyxy = (x[0], y[0], x[1], y[1])
            named = draw(st.sets(st.integers(0, len(phrases) - 1), min_size=1, max_size=2))
            boxes[xyxy] = CuratedBox(
                box_id=f"{record_id}#{ordinal}",
                xyxy=xyxy,
                phrase_indices=tuple(sorted(named)),
                score=0.5,
                origin="human",
            )
        records.append(
            CuratedRecord(
                record_id=record_id,
                source="test",
                image_uri=f"{number:03d}.png",
                image_sha256="",
                width=width,
                height=height,
                caption=caption,
                phrases=tuple(phrases),
                boxes=tuple(boxes.values()),
                teacher_id="fake@0",
                policy_id="default@0",
                decisions_id="",
            )
        )
    return records


RECORDS = st.integers(1, 3).flatmap(
    lambda number: st.tuples(*(pairs_of_image(place) for place in range(number))).map(
        lambda found: [record for own in found for record in own]
    )
)


def on_disk(records: list[CuratedRecord], folder: Path) -> list[CuratedRecord]:
    """The records with a picture for each image."""
    folder.mkdir()
    placed = []
    for record in records:
        path = folder / record.image_uri
        seed = int(path.stem)
        noise = np.random.default_rng(seed).integers(0, 256, (record.height, record.width, 3))
        Image.fromarray(noise.astype(np.uint8)).save(path)
        sha = sha256_bytes(path.read_bytes())
        placed.append(replace(record, image_uri=str(path), image_sha256=sha))
    return placed


def said(records: list[CuratedRecord], names: tuple[str, ...], folder: Path, root: Path) -> Counter:
    folder.mkdir()
    golds, _ = in_turn(records, names, folder, str(root))
    return grounding_in(golds[-1])


MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@MANY
@given(records=RECORDS, pair=st.sampled_from(PAIRS))
def test_grounding_through_any_two_formats(
    records: list[CuratedRecord], pair: tuple[str, str]
) -> None:
    if not any(record.boxes for record in records):
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        records = on_disk(records, root)
        through = said(records, pair, Path(folder) / "both", root)
        if "flickr30k" in pair:  # whole pixels: what it says alone, whichever comes first
            expected = said(records, ("flickr30k",), Path(folder) / "alone", root)
        else:
            expected = grounding_of(records)
        assert through == expected


@MANY
@given(records=RECORDS, pair=st.sampled_from(DETECTION_PAIRS))
def test_detection_through_any_two_formats(
    records: list[CuratedRecord], pair: tuple[str, str]
) -> None:
    if not any(record.boxes for record in records):
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        records = on_disk(records, root)
        golds, _ = in_turn(records, pair, Path(folder), str(root))
        require_same(detection_in(golds[-1], 6), detection_of(records, 6))


def require_same(found: Counter, expected: Counter) -> None:
    """The same boxes to a thousandth of a pixel; rounded to it, neighbours may part."""
    left = sorted(found.elements())
    for image, xyxy, name in expected.elements():
        near = [
            one
            for one in left
            if (one[0], one[2]) == (image, name) and np.allclose(one[1], xyxy, rtol=0, atol=1e-3)
        ]
        assert near, f"{name} at {xyxy} of {image} is not among {left}"
        left.remove(near[0])
    assert not left
