"""The images of a call, decoded by a few threads that take several each."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.images.decode import ImageLimits
from pipeline.images.decoders import Decoder, Outcome, Picture
from pipeline.labelling.held_bytes import UnitBytes
from pipeline.labelling.pairs import Pair
from schemas.errors import ConfigError, RecordError, RetryableError
from schemas.fingerprint import sha256_bytes
from schemas.records import Status

MAX_TOGETHER = 8
"""Images that one thread decodes: each hand-over has its price."""
PARTS = 4
"""Into which a small call is cut: they are decoded beside each other."""


@dataclass(frozen=True, slots=True)
class DecodedPairs:
    """Pixels of pairs, None where a pair failed, and the seconds that they took."""

    images: list[NDArray[np.uint8] | None]
    seconds: float
    failure: Exception | None = None
    """Why they could not be decoded together, so that each was decoded alone."""


def parts_of(call: Sequence[Pair]) -> list[Sequence[Pair]]:
    """What is decoded by one thread each."""
    size = min(MAX_TOGETHER, math.ceil(len(call) / PARTS))
    return [call[first : first + size] for first in range(0, len(call), size)]


def decode_pairs(
    pairs: Sequence[Pair], limits: ImageLimits, decoder: Decoder, share: UnitBytes
) -> DecodedPairs:
    """Decode the images of pairs; one that cannot be decoded fails its pair.

    The encoded images are let go, and their room in `share` is given back.

    Raises:
        ConfigError, RetryableError: nothing can be decoded here.
    """
    began, failure = time.perf_counter(), None
    pictures = [(pair.data or b"", pair.size_wh) for pair in pairs]
    try:
        found = decoder.decode_all(pictures, limits)
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        failure = error
        found = [_decode_one(picture, limits, decoder) for picture in pictures]
    for pair, one in zip(pairs, found, strict=True):
        if isinstance(one, RecordError):
            pair.fail(one)
            if pair.data:
                pair.sha256 = sha256_bytes(pair.data)
        else:
            pair.size_wh, pair.sha256 = (one.width, one.height), one.sha256
        pair.let_go(share)
    images = [None if isinstance(one, RecordError) else one.array for one in found]
    return DecodedPairs(images, time.perf_counter() - began, failure)


def _decode_one(picture: Picture, limits: ImageLimits, decoder: Decoder) -> Outcome:
    """Whatever it raises is this picture's."""
    try:
        return decoder.decode_all([picture], limits)[0]
    except (ConfigError, RetryableError):
        raise
    except Exception as error:
        return RecordError(Status.IMAGE_CORRUPT, f"{type(error).__name__}: {error}")
