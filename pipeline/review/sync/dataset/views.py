"""The saved views of a review dataset: what to look at first.

All choose images; none hides boxes of an image. What a view hides for good, a reviewer judges
without: boxes are hidden by the filters beside the image, which everybody sees and can lift.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pipeline.curation.box_state import Origin, PairReview, Review
from pipeline.review.sync.label.documents import DETECTIONS
from pipeline.review.sync.label.notes import (
    AUDIT,
    DISAGREEMENT,
    LEVEL,
    LOWEST_SCORE,
    MARGIN,
    OVERLAP,
    QUEUE_SCORE,
    RAREST_PHRASE,
    SHOWN,
    STABILITY,
)
from pipeline.review.sync.label.stamp import PAIR_REVIEW, PAIR_REVIEWER, REVIEWER
from schemas.records import PhraseStatus

LOW_SCORE = 0.4
UNSTABLE = 0.5
CLOSE_CALL = 0.05
OVERLAPPING = 0.8
RARE = 2
MANY_BOXES = 10
LARGE_SHARE = 0.9
TINY_SHARE = 0.001
IMAGE_VIEWS = {
    PairReview.DONE: "pairs that a person looked at to the end",
    PairReview.BAD: "pairs that a person took out, with a reason",
    PairReview.MISSING: "pairs in which a person misses a box",
}


def review_views(dataset: Any) -> dict[str, tuple[Any, str]]:
    """Name -> (view, what it is for), in the order of the App's list."""
    from fiftyone import ViewField as F

    # What shows by default: a candidate that the policy leaves out makes no image worth a look.
    hidden = (F(LEVEL) >= 0) & (F(LEVEL) < SHOWN)  # false of a box that has no level
    boxes = F(DETECTIONS).filter(~hidden)
    area = F("bounding_box")[2] * F("bounding_box")[3]
    asked = F("phrases").filter(F("status") == str(PhraseStatus.OK))
    # A box without `review` was drawn by a person and counts, as in `pull`.
    standing = boxes.filter(F("review") != str(Review.REJECTED))
    indices = boxes.map(F("phrase_index"))
    again, close = F(STABILITY), (F(MARGIN) >= 0) & (F(MARGIN) < CLOSE_CALL)

    def only(condition: Any) -> Any:
        return dataset.match(boxes.filter(condition).length() > 0)

    def has(field: str) -> Any:
        return dataset.match(F(field) >= 0)  # also false of what has no number

    return {
        "pending": (
            only(F("review") == str(Review.PENDING)),
            "images with boxes that nobody has judged",
        ),
        "queue": (
            has(QUEUE_SCORE).sort_by(QUEUE_SCORE, reverse=True),
            "what is most likely wrong (`glipforge queue`), the worst first",
        ),
        "audit": (
            dataset.match(F(AUDIT) == True),  # noqa: E712 (an expression of FiftyOne)
            "pairs with boxes that an audit drew (`glipforge audit`)",
        ),
        "low scores": (
            has(LOWEST_SCORE).match(F(LOWEST_SCORE) < LOW_SCORE).sort_by(LOWEST_SCORE),
            f"images with boxes that the teacher gives less than {LOW_SCORE}, the lowest first",
        ),
        "unstable scores": (
            dataset.match(((again >= 0) & (again < UNSTABLE)) | (~(again >= 0) & close)).sort_by(
                [(STABILITY, 1), (MARGIN, 1)]
            ),
            "boxes that the teacher does not find again in a changed image (`glipforge enrich "
            f"--with stability`, below {UNSTABLE}); without that layer: a phrase's box beats the "
            f"next candidate by less than {CLOSE_CALL}",
        ),
        "overlapping phrases": (
            dataset.match(F(OVERLAP) > OVERLAPPING).sort_by(OVERLAP, reverse=True),
            f"two phrases claim one place: their boxes have an IoU above {OVERLAPPING}",
        ),
        "rare phrases": (
            has(RAREST_PHRASE).match(F(RAREST_PHRASE) <= RARE).sort_by(RAREST_PHRASE),
            f"pairs with a phrase that {RARE} pairs or fewer have",
        ),
        "disagreement": (
            dataset.match(F(DISAGREEMENT) > 0).sort_by(DISAGREEMENT, reverse=True),
            "pairs with boxes on which reviewers differ, as of the last push",
        ),
        "ungrounded phrases": (
            dataset.match(asked.length() > standing.map(F("phrase_index")).unique().length()),
            "pairs with a phrase that has no box",
        ),
        "captions without boxes": (dataset.match(boxes.length() == 0), "pairs without any box"),
        "many boxes": (
            dataset.match(boxes.length() > MANY_BOXES),
            f"pairs with more than {MANY_BOXES} boxes",
        ),
        "several boxes per phrase": (
            dataset.match(indices.length() > indices.unique().length()),
            "pairs in which a phrase has two boxes or more",
        ),
        "whole-image boxes": (
            only(area > LARGE_SHARE),
            "images with boxes that cover nearly the whole image",
        ),
        "tiny boxes": (
            only(area < TINY_SHARE),
            f"images with boxes below {TINY_SHARE:.1%} of the image",
        ),
        "accepted": (
            only(F("review") == str(Review.ACCEPTED)),
            "images with boxes that a person accepted",
        ),
        "fixed": (
            only(F("review") == str(Review.FIXED)),
            "images with boxes that a person moved or renamed",
        ),
        "rejected": (
            only(F("review") == str(Review.REJECTED)),
            "images with boxes that a person rejected",
        ),
        "drawn": (only(F("origin") == str(Origin.HUMAN)), "images with boxes that a person drew"),
        "weakest first": (
            has(LOWEST_SCORE).sort_by(LOWEST_SCORE),
            "pairs by their lowest score",
        ),
        **{
            str(word): (dataset.match(F(PAIR_REVIEW) == str(word)), meaning)
            for word, meaning in IMAGE_VIEWS.items()
        },
        "conflicts": (
            dataset.match(F("conflicts").length() > 0),
            "changes that the last pull could not understand",
        ),
        "captions by image": (
            dataset.group_by("image_id", order_by="record_id"),
            "one group per image, with all of its captions",
        ),
    }


def save_views(dataset: Any) -> None:
    """Save every review view; one that is there already is replaced."""
    for name, (view, description) in review_views(dataset).items():
        dataset.save_view(name, view, description=description, overwrite=True)


def reviewer_view(dataset: Any, what: str, reviewer: str) -> str:
    """The name of a reviewer's saved view, `what NAME`: the one that is there, else one to save.

    FiftyOne takes two names for one where only letters outside ASCII, case or signs tell them
    apart: the later gets a mark of its own.
    """
    from fiftyone.core.utils import to_slug

    plain = f"{what} {reviewer}"
    marked = f"{plain} {hashlib.blake2b(reviewer.encode(), digest_size=3).hexdigest()}"
    there = dataset.list_saved_views()
    for name in (plain, marked):
        if name in there:
            return name
    return marked if to_slug(plain) in {to_slug(name) for name in there} else plain


def ensure_mine(dataset: Any, reviewer: str) -> tuple[str, bool]:
    """Save the view of what a reviewer judged; its name, and False where it is there already."""
    from fiftyone import ViewField as F

    name = reviewer_view(dataset, "mine", reviewer)
    if dataset.has_saved_view(name):
        return name, False
    who = F.literal(reviewer)  # a name that begins with $ is no path to a field
    judged = F(DETECTIONS).filter(F(REVIEWER) == who).length() > 0
    view = dataset.match(judged | (F(PAIR_REVIEWER) == who))
    dataset.save_view(name, view, description=f"images on which {reviewer} said something")
    return name, True
