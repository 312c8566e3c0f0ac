"""Filter policies: named, versioned sets of rules that turn candidates into labels, without a GPU.

A policy never runs the teacher: the run stores every candidate above a low floor, and a policy is
applied to the stored rows, any number of times. `pipeline/curation/filters.py` holds the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipeline.phrases.drop_words import DROP_LISTS
from schemas.checked import (
    Count,
    CountOrZero,
    NotNegative,
    Share,
    checked,
    from_object,
    parse_object,
)
from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint

POLICY_VERSION = 1
_LATER: Mapping[str, object] = {
    **{"class_thresholds": {}, "phrase_thresholds": {}, "min_precision": None},
    **{"contained_same": None, "contained_other": None, "negative_below": 0.1},
}
"""Fields that came after version 1 with their defaults."""

if TYPE_CHECKING:
    DropList = str
else:
    DropList = Literal[tuple(DROP_LISTS)]

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
    region_scores: Literal["", "clip"] = ""
    """`clip`: multiply each score by a second model's score of the region before the threshold.
    Waits for layers: no run holds such scores yet, and curation refuses."""
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
    """With region scores: sqrt(image score x mean region score) must be greater. Waits as well."""
    negative_below: Share = 0.1
    """A phrase that was asked for and has no label is a negative, for exports and training, where
    no candidate of it reached this score; 0: none is."""

    def __post_init__(self) -> None:
        for name in ("class_thresholds", "phrase_thresholds"):
            for words, score in getattr(self, name).items():
                if not words or words != words.lower():
                    raise ValueError(f"{name}: words must be in lower case, got {words!r}")
                if not 0 <= score <= 1:
                    raise ValueError(f"{name}.{words} must be in [0, 1], got {score!r}")
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

    def words(self) -> frozenset[str]:
        """Every head noun that this policy drops."""
        return frozenset(self.drop_words).union(*(DROP_LISTS[name] for name in self.drop_lists))


def default_policy() -> FilterPolicy:
    """The rules for training a student: confident, deduplicated, visual phrases."""
    return FilterPolicy(
        name="default",
        drop_lists=("pronouns", "generic", "abstract"),
        drop_nonwords=True,
        score_threshold=0.5,
        nms_iou=0.6,
        max_area_share=0.95,
        long_span_share=0.8,
        long_span_max_area_share=0.8,
        cross_phrase="merge",
        max_boxes_per_phrase=10,
        max_boxes_per_image=100,
    )


def glip_policy() -> FilterPolicy:
    """GLIP's own pseudo-labels: score > 0.5, nothing else, at least one box."""
    return FilterPolicy(name="glip", score_threshold=0.5)


def grit_policy() -> FilterPolicy:
    """GRIT (Kosmos-2): 14 abstract nouns, score > 0.65, suppression across phrases.

    The paper does not state the IoU of the suppression; 0.5 is the choice made here. GRIT's second
    step, expanding chunks to referring expressions, is the parser's work and not done by a filter.
    """
    return FilterPolicy(
        name="grit",
        drop_lists=("grit-abstract",),
        score_threshold=0.65,
        cross_phrase="suppress",
        cross_phrase_iou=0.5,
    )


def yoloworld_policy() -> FilterPolicy:
    """YOLO-World's CC3M labels: score x CLIP > 0.3, NMS per phrase, an image score > 0.3.

    Needs CLIP's score of every region and image, which no command of this version makes: curation
    refuses it in a sentence. YOLO-World takes n-gram nouns as phrases; this product's are noun
    chunks.
    """
    return FilterPolicy(
        name="yoloworld",
        score_threshold=0.3,
        region_scores="clip",
        nms_iou=0.5,
        min_image_score=0.3,
    )


def owlst_policy() -> FilterPolicy:
    """OWL-ST (OWLv2): score > 0.1, the best phrase of each box, one box > 0.3.

    OWL-ST asks for all n-grams and drops generic ones; here the phrases are noun chunks.
    """
    return FilterPolicy(
        name="owlst",
        drop_lists=("pronouns", "generic"),
        score_threshold=0.1,
        cross_phrase="suppress",
        min_best_score=0.3,
    )


def strict_review_policy() -> FilterPolicy:
    """The doubtful band 0.3 to 0.5 with every text rule: what a person should look at."""
    return FilterPolicy(
        name="strict-review",
        drop_lists=("pronouns", "generic", "abstract"),
        drop_nonwords=True,
        score_threshold=0.3,
        score_ceiling=0.5,
        nms_iou=0.7,
        max_area_share=0.95,
    )


def people_policy() -> FilterPolicy:
    """Imported labels of people: all of them, also images without a box. Boxes that are one and
    the same for several phrases become one box again."""
    return FilterPolicy(
        name="people",
        min_side_px=0.0,
        cross_phrase="merge",
        cross_phrase_iou=0.99999,
        min_boxes=0,
    )


def people_boxes_policy() -> FilterPolicy:
    """Imported detection labels: all of them, each box with its own category."""
    return FilterPolicy(name="people-boxes", min_side_px=0.0, min_boxes=0)


POLICIES: Mapping[str, Callable[[], FilterPolicy]] = {
    "default": default_policy,
    "glip": glip_policy,
    "grit": grit_policy,
    "yoloworld": yoloworld_policy,
    "owlst": owlst_policy,
    "strict-review": strict_review_policy,
    "people": people_policy,
    "people-boxes": people_boxes_policy,
}


def get_policy(name: str) -> FilterPolicy:
    """A preset by its name, or the policy of a JSON file whose path ends in `.json`.

    Raises:
        ConfigError: no such preset or file, or a field that a policy does not allow.
    """
    if name.endswith(".json"):
        try:
            return policy_from_json(Path(name).read_text(encoding="utf-8"), where=name)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"policy file {name!r} cannot be read: {error}") from error
    if name not in POLICIES:
        raise ConfigError(
            f"policy must be one of {', '.join(POLICIES)} or a path ending in .json, got {name!r}"
        )
    return POLICIES[name]()


def policy_from_json(text: str, *, where: str) -> FilterPolicy:
    """A policy from a JSON object of its fields; `where` names the file in errors.

    The key `base` may name a preset whose fields are the start.

    Raises:
        ConfigError: naming the field, the value and what is allowed.
    """
    raw = parse_object(text, where=where)
    base = raw.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in POLICIES):
        raise ConfigError(f"{where}: base must be one of {', '.join(POLICIES)}, got {base!r}")
    if "name" not in raw:
        raise ConfigError(f"{where}: name is missing: the policy's own name, e.g. 'my-rules'")
    start = asdict(POLICIES[base]()) if base is not None else {}
    return from_object(FilterPolicy, start | raw, where=f"{where}: ", also=("base",))
