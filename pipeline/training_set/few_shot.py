"""A few images of every name: the subsets that adaptation from little data is measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from pipeline.training_set.detection_prompts import names_of
from schemas.errors import ConfigError
from schemas.records import TrainingSample


def few_shot(
    samples: Sequence[TrainingSample], shots: int, seed: int
) -> tuple[TrainingSample, ...]:
    """Samples of which every name has at least `shots`, or all that it has; in their old order.

    Names are served from the rarest on, each by images in random order that were not taken
    before; an image counts for every name in it, so common names may have more.

    Args:
        samples: Boxes named by their spans (detection).
        shots: Images of each name.
        seed: Decides which.

    Raises:
        ConfigError: `shots` is below 1.
    """
    if shots < 1:
        raise ConfigError(f"shots must be >= 1, got {shots}")
    present = [{name for group in names_of(sample) for name in group} for sample in samples]
    frequency = Counter(name for names in present for name in names)
    order = np.random.default_rng(seed).permutation(len(samples))
    chosen: set[int] = set()
    held: Counter[str] = Counter()
    for name in sorted(frequency, key=lambda name: (frequency[name], name)):
        for number in order:
            if held[name] >= shots:
                break
            if name in present[number] and number not in chosen:
                chosen.add(int(number))
                held.update(present[number])
    return tuple(samples[number] for number in sorted(chosen))
