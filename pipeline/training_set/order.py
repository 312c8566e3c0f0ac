"""Which sample stands at which position of the training stream, for ever the same.

The stream is endless and has no state: position -> (source, index) is a pure function of the
seed, so a resumed run sees what it would have seen, and W workers share one stream by taking
different positions of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigError

BLOCK = 1024
"""Every block of so many positions holds each source by its share, to 1/1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What stands at one position of the stream."""

    position: int
    source: int
    index: int
    """Index into the source."""
    epoch: int
    """How many times the whole source went by before."""


def rng_at(seed: int, position: int, purpose: int = 0) -> np.random.Generator:
    """The random numbers that belong to one position; different purposes never share any."""
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, position * 16 + purpose], dtype=np.uint64))
    )


def block_quotas(shares: Sequence[float]) -> tuple[int, ...]:
    """Positions of each source in a block: the largest-remainder rounding of `shares` to 1024.

    Raises:
        ConfigError: a share is not positive, or so small that the source would never be seen.
    """
    if not shares:
        raise ConfigError("the mixture has no source")
    for number, share in enumerate(shares):
        if not np.isfinite(share) or share <= 0:
            raise ConfigError(f"source {number}: weight must be positive, got {share!r}")
    exact = np.asarray(shares, dtype=np.float64) / np.sum(shares) * BLOCK
    quotas = np.floor(exact).astype(np.int64)
    remainders = np.argsort(-(exact - quotas), kind="stable")
    quotas[remainders[: BLOCK - int(quotas.sum())]] += 1
    for number, quota in enumerate(quotas):
        if quota == 0:
            raise ConfigError(
                f"source {number}: its share of the mixture is {exact[number] / BLOCK:.2e}, "
                f"the smallest is 1/{BLOCK}; give it a larger weight or leave it out"
            )
    return tuple(int(quota) for quota in quotas)


class StreamOrder:
    """The order of the whole mixture.

    Args:
        lengths: Number of samples of each source.
        shares: Weight of each source; only their proportions count.
        seed: The run's seed.
    """

    def __init__(self, lengths: Sequence[int], shares: Sequence[float], seed: int) -> None:
        if len(lengths) != len(shares):
            raise ConfigError(f"{len(lengths)} sources but {len(shares)} weights")
        for number, length in enumerate(lengths):
            if length < 1:
                raise ConfigError(f"source {number}: has no usable sample")
        self._lengths = tuple(lengths)
        self._quotas = block_quotas(shares)
        self._seed = seed
        # Caches belong to the instance: both are pure functions of the seed.
        self._block = lru_cache(maxsize=4)(self._make_block)
        self._permutation = lru_cache(maxsize=2 * len(lengths))(self._make_permutation)

    @property
    def quotas(self) -> tuple[int, ...]:
        """Positions of each source in a block of 1024."""
        return self._quotas

    def at(self, position: int) -> Draw:
        """What stands at `position` (from 0)."""
        if position < 0:
            raise ValueError(f"position must be >= 0, got {position}")
        block, offset = divmod(position, BLOCK)
        sources, ranks = self._block(block)
        source = int(sources[offset])
        number = block * self._quotas[source] + int(ranks[offset])
        epoch, rank = divmod(number, self._lengths[source])
        index = int(self._permutation(source, epoch)[rank])
        return Draw(position=position, source=source, index=index, epoch=epoch)

    def _make_block(self, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        sources = np.repeat(np.arange(len(self._quotas)), self._quotas)
        rng_at(self._seed, block, purpose=1).shuffle(sources)
        ranks = np.empty(BLOCK, dtype=np.int64)
        for source, quota in enumerate(self._quotas):
            ranks[sources == source] = np.arange(quota)
        return sources, ranks

    def _make_permutation(self, source: int, epoch: int) -> NDArray[np.int64]:
        rng = rng_at(self._seed + 7919 * (source + 1), epoch, purpose=2)
        return rng.permutation(self._lengths[source])
