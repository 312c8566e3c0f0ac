"""Training pictures: read for a sample, and only if they are what its boxes were drawn on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DataError, RecordError
from schemas.records import Status, TrainingSample

ImageLoader = Callable[[str], NDArray[np.uint8]]
"""Image URI -> uint8 RGB [height, width, 3], EXIF applied."""
PictureLoader = Callable[[str, tuple[int, int]], NDArray[np.uint8]]
"""(image URI, the size in pixels that its boxes are in) -> uint8 RGB [height, width, 3], the whole
picture, perhaps made smaller. Raises RecordError where it cannot be read or has another size."""
LOOKED_AT = 256
"""Pictures of a source that are looked at before the first step; smaller sources are read whole."""
_NAMED = 3


def of_size(load: ImageLoader) -> PictureLoader:
    """The loader that leaves out a picture of another size than asked for."""

    def picture(uri: str, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
        image = load(uri)
        require_size(uri, (image.shape[1], image.shape[0]), size_wh)
        return image

    return picture


def require_size(uri: str, found_wh: tuple[int, int], expected_wh: tuple[int, int]) -> None:
    """Refuse a picture whose boxes were drawn on one of another size.

    Stretching the boxes would put them elsewhere: another size is another picture, a crop, or one
    that was turned by its EXIF orientation and whose boxes were not.

    Raises:
        RecordError: the sizes differ; names both.
    """
    if found_wh != expected_wh:
        raise RecordError(
            Status.RECORD_INVALID,
            f"the picture has {found_wh[0]} x {found_wh[1]} pixels upright, its boxes are of one "
            f"with {expected_wh[0]} x {expected_wh[1]}: {uri}",
        )


def require_readable(
    name: str, samples: Sequence[TrainingSample], load: PictureLoader, max_share: float
) -> str:
    """Look at a source's pictures before anything is learnt from it.

    Small sources are read whole; of a larger one `LOOKED_AT` pictures are taken at equal steps, and
    the share must be clearly over the limit (three standard deviations of such a draw).

    Args:
        name: The source's.
        samples: All of it.
        load: As the training reads.
        max_share: Of the pictures that may be unreadable, 0 to 1.

    Returns:
        What training will leave out, in a sentence; "" if all that were looked at can be read.

    Raises:
        DataError: more cannot be read; names the first ones with their reasons.
    """
    looked_at = min(len(samples), LOOKED_AT)
    taken = [samples[i * len(samples) // looked_at] for i in range(looked_at)]
    with ThreadPoolExecutor(4) as pool:
        reasons = [reason for reason in pool.map(lambda s: _reason(s, load), taken) if reason]
    if not reasons:
        return ""
    slack = 0.0
    if looked_at < len(samples):
        slack = 3.0 * math.sqrt(looked_at * max_share * (1.0 - max_share))
    of = f"{len(reasons)} of {looked_at}"
    named = "; ".join(reasons[:_NAMED]) + ("; ..." if len(reasons) > _NAMED else "")
    if len(reasons) == looked_at or len(reasons) > looked_at * max_share + slack:
        raise DataError(
            f"source {name}: {of} pictures cannot be used, more than train.max_unreadable "
            f"{max_share:g} allows: {named}. Mend them, or say --set train.max_unreadable=SHARE "
            "to train without them"
        )
    return f"source {name}: {of} pictures that were looked at are left out: {named}"


def _reason(sample: TrainingSample, load: PictureLoader) -> str:
    try:
        load(sample.image_uri, (sample.width, sample.height))
    except RecordError as error:
        return f"{sample.sample_id}: {error}"
    return ""
