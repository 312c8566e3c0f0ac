"""Said before a labelling begins: what the teacher has never seen, and if the corpus is that."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

from schemas.errors import GlipforgeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jobs.labelling.setup import Corpus, LabelSetup
    from schemas.plan import Unit

LOOKED_AT = 16
MAX_FAILURES = 2
"""Fetching from a dead host takes its time; a labelling should begin."""


def tell_what_it_never_saw(setup: LabelSetup, corpus: Corpus, unit: Unit) -> None:
    """Print the teacher's note, and a warning where the first pictures look like photographs."""
    note = getattr(setup, "note", lambda: "")()
    if not note:
        return
    print(f"note     {note}", file=sys.stderr)
    from pipeline.images.photograph import look_like_photographs

    pictures = first_pictures(corpus, unit)
    if look_like_photographs(pictures):
        print(
            f"glipforge label: warning: the first {len(pictures)} pictures of the corpus look like "
            "photographs, which this teacher has never seen: its labels are worth nothing there",
            file=sys.stderr,
        )


def first_pictures(corpus: Corpus, unit: Unit) -> list[NDArray[np.uint8]]:
    """Pixels of the first records of a unit; gives up early where they cannot be read."""
    from pipeline.images.access import ANYTHING
    from pipeline.images.decode import ImageLimits, decode_image
    from pipeline.images.fetch import read_image_uri

    access = getattr(corpus, "access", ANYTHING)
    pictures: list[NDArray[np.uint8]] = []
    failures = 0
    try:
        for record in islice(corpus.read(unit), LOOKED_AT):
            try:
                data = record.image_bytes
                if data is None and record.image_uri is not None:
                    data = read_image_uri(record.image_uri, access=access)
                if data is not None:
                    pictures.append(decode_image(data, ImageLimits()).array)
            except GlipforgeError:
                failures += 1  # a row with a reason, later
            if failures >= MAX_FAILURES:
                break
    except GlipforgeError:
        pass  # said where the unit is labelled
    return pictures
