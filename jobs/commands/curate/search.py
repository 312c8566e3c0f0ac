"""Find pairs and boxes of a labelled run: by words, by likeness, or by both.

Words are looked for in the phrases: "red umbrella" finds phrases that have both words, in singular
or plural. Likeness needs a layer of embeddings (`glipforge enrich RUN --with embeddings`).
"""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import FileName, MaybeDir, Model, Run
from schemas.errors import ConfigError
from schemas.redaction import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.run.store import RunStore
    from pipeline.search.words import Found

EXAMPLES = (
    'glipforge search runs/1 "dog"',
    'glipforge search runs/1 "dog" --min-score 0.5 --json',
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge search`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    query: tyro.conf.Positional[str] = ""
    """Words that a phrase must have, e.g. "red umbrella"; may be left out with --like."""
    like: str = ""
    """An image file, or the id of a pair or of a box of the run: what is most like it, by the
    layers `embeddings` (pairs) and `region_embeddings` (boxes)."""
    model: Model = None
    """With --like IMAGE: the model that made the layer `embeddings`."""
    min_score: float = 0.0
    """Boxes need a greater score of the teacher."""
    limit: int = 20
    """At most so many are shown; all are counted."""
    sheet: FileName = ""
    """Write a contact sheet: a .jpg, .png or .webp."""
    push: bool = False
    """Show what was found in FiftyOne, in a dataset of its own."""
    dataset: str = ""
    """With --push: the name of that dataset; from the run's name if not given."""
    home: MaybeDir = None
    """With --push: where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""
    json: bool = False
    """Print JSON."""


def run(config: Config) -> int:
    """Search and show; returns 0, also where nothing was found."""
    from pipeline.run.open import open_run
    from pipeline.search.sheet import as_plain

    if config.limit < 1:
        raise ConfigError(f"limit must be at least 1, got {config.limit}")
    if not 0 <= config.min_score <= 1:
        raise ConfigError(f"min_score must be in [0, 1], got {config.min_score}")
    if not config.query and not config.like:
        raise ConfigError("query: give words to look for, or --like IMAGE")
    if config.sheet and not config.sheet.lower().endswith((".jpg", ".jpeg", ".png", ".webp")):
        raise ConfigError(f"sheet must end in .jpg, .png or .webp, got {config.sheet!r}")
    labelled = open_run(config.run)
    found = _found(config, labelled)
    if config.json:
        print(json_module.dumps(as_plain(found), indent=1, ensure_ascii=False))
    else:
        _print(config, found)
    if config.sheet:
        _write_sheet(config, labelled, found)
    if config.push:
        _push(config, found)
    return 0


def _found(config: Config, labelled: RunStore) -> Found:
    from pipeline.search.database import local_files
    from pipeline.search.likeness import search_like
    from pipeline.search.words import pairs_with, search_words

    score, limit = config.min_score, config.limit
    layer_vector = _vector(config, labelled) if config.like else None
    with local_files(labelled) as files:
        if layer_vector is None:
            return search_words(files, config.query, min_score=score, limit=limit)
        layer, vector = layer_vector
        within = pairs_with(files, config.query) if config.query else None
        return search_like(
            labelled, layer, vector, files=files, within=within, min_score=score, limit=limit
        )


def _vector(config: Config, labelled: RunStore) -> tuple[str, NDArray[np.float32]]:
    """The layer to search, and the vector of what --like names."""
    from pathlib import Path

    from pipeline.search.likeness import IMAGES, stored_vector

    if not Path(config.like).is_file():
        stored = stored_vector(labelled, config.like)
        if stored is None:
            raise ConfigError(
                f"like: {config.like!r} is not an image file, and not a pair or box of this run"
            )
        return stored
    from model.scorers.clip import ContrastiveScorer
    from model.scorers.load import load_scorer, scorer_directory, scorer_fingerprint
    from model.teacher.load import torch_device
    from pipeline.images.decode import ImageLimits, decode_image
    from pipeline.images.fetch import read_image_uri
    from pipeline.layers.store import LayerStore
    from schemas.errors import RecordError

    made_with = LayerStore(labelled, IMAGES).layer().maker
    if config.model is None:
        raise ConfigError(
            f"model: --like IMAGE needs the model that made the layer, {made_with.get('model')}: "
            "give its directory or hub id"
        )
    directory = scorer_directory(config.model)
    given = scorer_fingerprint(directory, prompt="{}")
    if given.get("weights_sha256") != made_with.get("weights_sha256"):
        raise ConfigError(
            f"model: {config.model!r} is {given.get('model')}, and the layer was made with "
            f"{made_with.get('model')}: vectors of two models cannot be compared"
        )
    scorer = load_scorer(directory, device=torch_device("cpu"), batch_size=1)
    if not isinstance(scorer, ContrastiveScorer):
        raise ConfigError(f"model: {config.model!r} makes no vectors")
    try:
        image = decode_image(read_image_uri(config.like), ImageLimits(min_side_px=1))
    except RecordError as error:
        raise ConfigError(f"like: {error.detail}") from error
    return IMAGES, scorer.embed_images([image.array])[0]


def _print(config: Config, found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not found.hits:
        console.print("nothing was found", markup=False)
        return
    what = "boxes or pairs" if config.like else "phrases"
    console.print(
        f"{found.phrases:,} {what} in {found.pairs:,} pairs; the best {len(found.hits):,}:",
        markup=False,
    )
    table = Table(box=None, pad_edge=False)
    for name in ("cosine" if config.like else "score", "boxes", "phrase", "pair", "image"):
        table.add_column(name, justify="right" if name in ("score", "cosine", "boxes") else "left")
    for hit in found.hits:
        phrase = hit.row.phrases[hit.phrase_index].text if hit.phrase_index >= 0 else ""
        cells = (f"{hit.score:.3f}", str(len(hit.box_ids)), phrase)
        table.add_row(*map(_plain, (*cells, hit.row.record_id, hit.row.image_uri)))
    console.print(table, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(shown(text))


def _write_sheet(config: Config, labelled: RunStore, found: Found) -> None:
    import io

    from pipeline.run.limits import image_access
    from pipeline.search.sheet import sheet
    from pipeline.storage.files import write_bytes

    picture, failures = sheet(found.hits, access=image_access(labelled))
    buffer = io.BytesIO()
    ending = config.sheet.lower().rpartition(".")[2]
    picture.save(buffer, {"jpg": "JPEG", "jpeg": "JPEG"}.get(ending, ending.upper()))
    write_bytes(config.sheet, buffer.getvalue())
    for failure in failures:
        print(f"not on the sheet: {failure}", file=sys.stderr)
    print(f"written {config.sheet}", file=sys.stderr if config.json else sys.stdout)


def _push(config: Config, found: Found) -> None:
    from jobs.review.push import Push, push_run
    from pipeline.review.sync.store.run_dataset import dataset_name

    if not found.hits:
        print("nothing is pushed: nothing was found", file=sys.stderr)
        return
    box_ids: dict[str, frozenset[str]] = {}
    for hit in found.hits:
        known = box_ids.get(hit.row.record_id, frozenset())
        box_ids[hit.row.record_id] = known | frozenset(hit.box_ids)
    name = config.dataset or f"{dataset_name(config.run, None)}-search"
    asked = " ".join(filter(None, (config.query, config.like and f"like {config.like}")))
    push_run(
        Push(run=config.run, dataset=name, home=config.home),
        chosen=box_ids,
        called=f"search: {asked}",
    )
