"""The images of gold samples, read ahead while a teacher looks at those before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from pipeline.gold.gold_set import GoldSet
from schemas.errors import ConfigError, RecordError
from schemas.records import TrainingSample

READERS = 4
Pixels = NDArray[np.uint8]


def picture_batches(
    samples: Sequence[TrainingSample], batch_size: int, left_out: Counter[str]
) -> Iterator[list[tuple[TrainingSample, Pixels]]]:
    """Samples with their pixels; the next batches are read while a batch is looked at."""
    groups = [samples[at : at + batch_size] for at in range(0, len(samples), batch_size)]
    with ThreadPoolExecutor(READERS) as pool:
        ahead = [[pool.submit(_read, sample) for sample in group] for group in groups[:2]]
        for number, group in enumerate(groups):
            if number + 2 < len(groups):
                ahead.append([pool.submit(_read, sample) for sample in groups[number + 2]])
            batch = []
            for sample, future in zip(group, ahead.pop(0), strict=True):
                pixels = future.result()
                if isinstance(pixels, str):
                    left_out[pixels] += 1
                else:
                    batch.append((sample, pixels))
            yield batch


def _read(sample: TrainingSample) -> Pixels | str:
    """The pixels, or why they cannot be used."""
    from pipeline.images.decode import ImageLimits, decode_image
    from pipeline.images.fetch import read_image_uri

    try:
        decoded = decode_image(read_image_uri(sample.image_uri), ImageLimits())
    except RecordError as error:
        return str(error.status)
    if (decoded.width, decoded.height) != (sample.width, sample.height):
        return "its size is not the one of the gold file"
    return decoded.array


def require_some(number: int, gold: GoldSet, left_out: Counter[str]) -> None:
    """Refuse gold of which not one image was used.

    Raises:
        ConfigError: says why the images were left out.
    """
    if number == 0:
        reasons = [f"{n} x {reason}" for reason, n in left_out.items()]
        if not reasons:  # then no picture is to blame, but what is said of them
            dropped = {k: n for k, n in gold.counts.items() if k.startswith("dropped: ") and n}
            reasons = [f"{n} x {reason}" for reason, n in dropped.items()] or ["no box in it"]
            hint = "see what the file says of its boxes"
        else:
            hint = "is --image-root right?"
        raise ConfigError(
            f"not one image of gold {gold.name!r} can be used ({', '.join(reasons)}); {hint}"
        )
