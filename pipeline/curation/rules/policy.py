"""Filter policies: named, versioned sets of rules that turn candidates into labels, without a GPU.

A policy never runs the teacher: the run stores every candidate above a low floor, and a policy is
applied to the stored rows, any number of times. `filters.py` holds the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.layers.columns import NUMBERS
from pipeline.phrases.drop_words import DROP_LISTS
from pipeline.phrases.readings import ENTITIES
from schemas.checked import (
    Count,
    CountOrZero,
    NotNegative,
    Share,
    checked,
)
from schemas.fingerprint import fingerprint

POLICY_VERSION = 1
_LATER: Mapping[str, object] = {
    **{"class_thresholds": {}, "phrase_thresholds": {}, "min_precision": None},
    **{"contained_same": None, "contained_other": None, "negative_below": 0.1},
    **{"layer_thresholds": {}, "drop_entities": (), "second_spans": ()},
}
"""Fields that came after version 1 with their defaults."""

if TYPE_CHECKING:
    DropList = str
    EntityClass = str
else:
    DropList = Literal[tuple(DROP_LISTS)]
    EntityClass = Literal[ENTITIES]

PolicyName = Annotated[
    str,
    Field(
        pattern=r"^[\w-]*[^\W_][\w-]*$",
        description="letters, digits, '-' and '_'",
    ),
]
LowerCase = Annotated[str, Field(pattern=r"^[^A-Z]+$", description="words in lower case")]


@checked(frozen=True, kw_only=True)
class FilterPolicy:
    """Which candidates become labels. The order of the rules is the order of the fields.

    Raises:
        ConfigError: a field is outside of what it allows.
    """

    name: PolicyName
    """First part of the policy's id; letters, digits, `-` and `_`."""
    drop_lists: tuple[DropList, ...] = ()
    """Lists of `pipeline/phrases/drop_words.py`: a phrase goes when its head noun is listed."""
    drop_words: tuple[LowerCase, ...] = ()
    """Further words, in lower case, treated like a list."""
    drop_nonwords: bool = False
    """Drop phrases that are single characters, numbers, dates, URLs, hashtags or mentions."""
    drop_entities: tuple[EntityClass, ...] = ()
    """Classes of named entities, e.g. `PERSON`: a phrase goes when its noun belongs to one. Read
    from the layer `phrases`; `glipforge enrich` makes it."""
    score_threshold: Share = 0.0
    """A box stays when its score is greater."""
    class_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Head noun in lower case -> the score that boxes of such phrases must exceed instead."""
    phrase_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Whole phrase in lower case, without article -> likewise; stronger than its class's."""
    min_precision: Share | None = None
    """A box stays when its score is greater than the threshold above which at least this share of
    the run's labels is right, as `glipforge calibrate` found; None: no promise is asked for."""
    score_ceiling: Share = 1.0
    """A box stays when its score is not greater: a band of doubtful boxes for review."""
    region_scores: Literal["", "clip", "clip.cosine"] = ""
    """`clip`: multiply each score by the layer's `clip.score` of the box before the threshold;
    `clip.cosine`: by its plain cosine. `glipforge enrich` makes the layer."""
    layer_thresholds: Mapping[str, float] = field(default_factory=dict)
    """Column of a layer (`clip.score`) -> a box, or a pair where the layer is about pairs, stays
    when its value is greater; one without a value goes."""
    min_side_px: NotNegative = 1.0
    """A box with a shorter side goes."""
    nms_iou: Share | None = None
    """Among boxes of one phrase, of two that overlap more the better one stays; None: off."""
    contained_same: Share | None = None
    """A box goes when a greater share of it lies inside a better box of its phrase; None: off."""
    max_area_share: Share = 1.0
    """A box that covers a greater share of the image goes."""
    long_span_share: Share = 1.0
    """A phrase covering a greater share of the caption is a long span (1.0: no phrase is)..."""
    long_span_max_area_share: Share = 1.0
    """...and for a long span a box that covers a greater share of the image goes."""
    cross_phrase: Literal["keep", "merge", "suppress"] = "keep"
    """Boxes of different phrases at one place: keep both, merge them, or suppress the worse."""
    cross_phrase_iou: Share = 0.9
    """What "at one place" means: an IoU greater than this."""
    contained_other: Share | None = None
    """As `contained_same`, inside a better box of another phrase."""
    max_boxes_per_phrase: Count | None = None
    """The best boxes of each phrase that stay; None: all."""
    max_boxes_per_image: Count | None = None
    """The best boxes of each pair that stay; None: all."""
    min_boxes: CountOrZero = 1
    """A pair with fewer boxes left is left out."""
    min_best_score: Share = 0.0
    """A pair whose best box is not greater is left out."""
    min_image_score: Share = 0.0
    """With region scores: sqrt(image score x mean score of the boxes left) must be greater. The
    image score is the layer's `clip_image.score`, or its cosine with `clip.cosine`."""
    negative_below: Share = 0.1
    """A phrase that was asked for and has no label is a negative, for exports and training, where
    no candidate of it reached this score; 0: none is."""

    second_spans: tuple[Literal["expressions", "ngrams"], ...] = ()
    """Further phrases that the boxes of a phrase carry too. `expressions`: its referring expression
    by the layer `phrases`, as GRIT keeps them; `ngrams`: its shorter endings on the same noun, at
    most ten words: "red sports car" and "car" of "a red sports car"."""

    def __post_init__(self) -> None:
        for name in ("class_thresholds", "phrase_thresholds"):
            for words, score in getattr(self, name).items():
                if not words or words != words.lower():
                    raise ValueError(f"{name}: words must be in lower case, got {words!r}")
                if not 0 <= score <= 1:
                    raise ValueError(f"{name}.{words} must be in [0, 1], got {score!r}")
        for column, value in self.layer_thresholds.items():
            if column not in NUMBERS:
                allowed = ", ".join(NUMBERS)
                raise ValueError(f"layer_thresholds: must be of {allowed}, got {column!r}")
            if not math.isfinite(value):
                raise ValueError(f"layer_thresholds.{column} must be a number, got {value!r}")
        for word in self.drop_words:
            if word != word.lower():  # letters that the pattern, for all of JSON schema, misses
                raise ValueError(f"drop_words must be words in lower case, got {word!r}")
        if self.score_ceiling <= self.score_threshold:
            raise ValueError(
                f"score_ceiling must be greater than score_threshold {self.score_threshold}, "
                f"got {self.score_ceiling}"
            )
        if self.min_image_score > 0 and not self.region_scores:
            raise ValueError(
                f"min_image_score {self.min_image_score} needs region_scores to be 'clip', got ''"
            )

    @property
    def policy_id(self) -> str:
        """Name and fingerprint of the rules, e.g. `default@0f3a9c...`."""
        rules = {key: value for key, value in asdict(self).items() if key != "name"}
        # A rule that came later and is off leaves the ids of older policies as they were.
        rules = {k: v for k, v in rules.items() if k not in _LATER or v != _LATER[k]}
        rules |= {"version": POLICY_VERSION, "words": sorted(self.words())}
        return f"{self.name}@{fingerprint(rules)}"

    @property
    def rules_id(self) -> str:
        """The fingerprint alone: policies of other names with the same rules share it."""
        return self.policy_id.rpartition("@")[2]

    def layer_columns(self) -> tuple[str, ...]:
        """The columns of layers that the rules read."""
        found = list(self.layer_thresholds)
        if self.region_scores:
            column = self.region_scores.partition(".")[2] or "score"
            found.append(f"clip.{column}")
            if self.min_image_score > 0:
                found.append(f"clip_image.{column}")
        if self.drop_entities:
            found.append("phrases.entities")
        if "expressions" in self.second_spans:
            found += ["phrases.expression_start", "phrases.expression_end"]
        return tuple(dict.fromkeys(found))

    def words(self) -> frozenset[str]:
        """Every head noun that this policy drops."""
        return frozenset(self.drop_words).union(*(DROP_LISTS[name] for name in self.drop_lists))
