"""Filter policies by name, and those that people write as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from pipeline.curation.rules.policy import FilterPolicy
from schemas.checked import from_object, parse_object
from schemas.errors import ConfigError, reason_of


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
    step, expanding chunks to referring expressions, is `grit-expressions`.
    """
    return FilterPolicy(
        name="grit",
        drop_lists=("grit-abstract",),
        score_threshold=0.65,
        cross_phrase="suppress",
        cross_phrase_iou=0.5,
    )


def grit_expressions_policy() -> FilterPolicy:
    """GRIT with its second step: each box also carries its phrase's referring expression.

    Needs the layer `phrases` (`glipforge enrich RUN --with phrases`). GRIT then drops chunks that
    lie in an expression; here both stay, as its published rows have them.
    """
    return replace(grit_policy(), name="grit-expressions", second_spans=("expressions",))


def yoloworld_policy() -> FilterPolicy:
    """YOLO-World's CC3M labels: score x CLIP > 0.3, NMS per phrase, an image score > 0.3.

    Needs the layers `clip` and `clip_image` (`glipforge enrich RUN --with clip`). The paper does
    not say how a similarity becomes a score; here it is CLIPScore, 2.5 x cosine: of plain cosines,
    which are below 0.4 for true pairs, no product would be above 0.3. YOLO-World takes n-gram nouns
    as phrases; this product's are noun chunks.
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

    OWL-ST asks for all n-grams of up to ten words and drops generic ones. Here the teacher was
    asked for noun chunks, and their n-grams on the same noun carry the chunk's boxes.
    """
    return FilterPolicy(
        name="owlst",
        drop_lists=("pronouns", "generic"),
        score_threshold=0.1,
        cross_phrase="suppress",
        min_best_score=0.3,
        second_spans=("ngrams",),
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


RECOMMENDED = "recommended"
"""The policy, or the threshold, that a run's teacher recommends."""
POLICIES: Mapping[str, Callable[[], FilterPolicy]] = {
    "default": default_policy,
    "glip": glip_policy,
    "grit": grit_policy,
    "grit-expressions": grit_expressions_policy,
    "yoloworld": yoloworld_policy,
    "owlst": owlst_policy,
    "strict-review": strict_review_policy,
    "people": people_policy,
    "people-boxes": people_boxes_policy,
}


def get_policy(name: str, *, recommended: Callable[[], float] | None = None) -> FilterPolicy:
    """A preset by its name, or the policy of a JSON file whose path ends in `.json`.

    Args:
        name: The preset or the path.
        recommended: As `policy_from_json` takes it.

    Raises:
        ConfigError: no such preset or file, or a field that a policy does not allow.
    """
    if name.endswith(".json"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"policy file {name!r} cannot be read: {reason_of(error)}") from error
        return policy_from_json(text, where=name, recommended=recommended)
    if name not in POLICIES:
        raise ConfigError(
            f"policy must be one of {', '.join(POLICIES)} or a path ending in .json, got {name!r}"
        )
    return POLICIES[name]()


def policy_from_json(
    text: str, *, where: str, recommended: Callable[[], float] | None = None
) -> FilterPolicy:
    """A policy from a JSON object of its fields.

    The key `base` may name a preset whose fields are the start.

    Args:
        text: The object.
        where: The file's name, for errors.
        recommended: What a `score_threshold` of "recommended" stands for; None: it is refused.

    Raises:
        ConfigError: naming the field, the value and what is allowed.
    """
    raw = parse_object(text, where=where)
    base = raw.pop("base", None)
    if base is not None and (not isinstance(base, str) or base not in POLICIES):
        raise ConfigError(f"{where}: base must be one of {', '.join(POLICIES)}, got {base!r}")
    if "name" not in raw:
        raise ConfigError(f"{where}: name is missing: the policy's own name, e.g. 'my-rules'")
    if recommended is not None and raw.get("score_threshold") == RECOMMENDED:
        raw["score_threshold"] = recommended()
    start = asdict(POLICIES[base]()) if base is not None else {}
    return from_object(FilterPolicy, start | raw, where=f"{where}: ", also=("base",))
