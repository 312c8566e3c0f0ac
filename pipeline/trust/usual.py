"""What is usual for the labels of each noun in a run: their size, and what CLIP says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.overlap import Sides
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import NUMBERS, require_columns
from pipeline.phrases.class_list import planned_classes
from pipeline.run.store import RunStore
from pipeline.trust.population import Labels, unit_labels
from schemas.errors import ConfigError

Floats = NDArray[np.float64]
OPINIONS = {"clip": "clip.cosine", "stability": "stability.score"}
"""Sign -> the column of a layer that it is read from, where the run has that layer."""
SPREAD_FLOOR = {"size": 0.25, "clip": 0.01}
"""Nouns that were seen a few times are not taken for exact: of log size, and of cosine."""
_AS_IF = {"size": 1.0, "clip": 0.03}
"""As if two labels so far from the mean had been seen too: of three labels little is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NounValues:
    """Mean and spread of one number over the labels of each noun."""

    mean: dict[str, float]
    spread: dict[str, float]

    def away(self, values: Floats, nouns: Sequence[str]) -> Floats:
        """How many spreads each value [L] is above its noun's mean; 0 where nothing is known."""
        mean = np.array([self.mean.get(noun, np.nan) for noun in nouns], dtype=np.float64)
        spread = np.array([self.spread.get(noun, 1.0) for noun in nouns], dtype=np.float64)
        return np.nan_to_num((values - mean) / spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What is usual in a run."""

    size: NounValues
    clip: NounValues
    """Empty without the layer."""
    is_class_list: bool = False
    """Every image was asked for the same names: nothing says that one of them is there, or once."""


def log_sizes(labels: Labels) -> Floats:
    """Log of each label's share of its image, [L]."""
    sides = Sides.of(labels.candidates.boxes_at(labels.index))
    areas = labels.candidates.areas_px[labels.candidates.row_of[labels.index]]
    return np.asarray(np.log(np.maximum(sides.areas, 1e-6) / areas))


def opinion(labels: Labels, sign: str) -> Floats | None:
    """What a layer says of each label, [L], NaN where it says nothing; None without the layer."""
    column = labels.candidates.layers.get(OPINIONS[sign])
    return None if column is None else column[labels.index].astype(np.float64)


def opinion_columns(run: RunStore) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of layers that the run has for all of its units, and what keeps others away."""
    found, notes = [], []
    for column in OPINIONS.values():
        if column not in NUMBERS:
            continue
        try:
            require_columns(run, [column])
        except ConfigError as error:
            if "lacks" in str(error):
                notes.append(f"{column} is not used: {error}")
        else:
            found.append(column)
    return tuple(found), tuple(notes)


def usual_values(run: RunStore, policy: FilterPolicy, columns: Sequence[str] = ()) -> Usual:
    """One pass over the labels of a policy; `columns` of layers as `opinion_columns` finds them."""
    sums: dict[str, dict[str, NDArray[np.float64]]] = {"size": {}, "clip": {}}
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit, also=columns):
            nouns = labels.nouns()
            for name, values in (("size", log_sizes(labels)), ("clip", opinion(labels, "clip"))):
                if values is None:
                    continue
                for noun, value in zip(nouns, values.tolist(), strict=True):
                    if value == value:
                        entry = sums[name].setdefault(noun, np.zeros(3))
                        entry += (1.0, value, value * value)
    return Usual(
        size=_values(sums["size"], "size"),
        clip=_values(sums["clip"], "clip"),
        is_class_list=planned_classes(run.plan().config) is not None,
    )


def _values(sums: dict[str, NDArray[np.float64]], name: str) -> NounValues:
    mean, spread = {}, {}
    for noun, (number, total, squares) in sums.items():
        mean[noun] = total / number
        variance = max(squares / number - (total / number) ** 2, 0.0)
        known = (variance * number + 2 * _AS_IF[name] ** 2) / (number + 2)
        spread[noun] = max(known**0.5, SPREAD_FLOOR[name])
    return NounValues(mean=mean, spread=spread)
