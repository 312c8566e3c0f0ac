"""The records that flow, one frozen type per stage.

Spans are half-open CHARACTER offsets into the caption as it was given; boxes are float32 absolute
`xyxy`, half-open, in pixels of the original image after its EXIF orientation was applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PEOPLE = "people@"
"""Begins the `teacher_id` of rows that people labelled: of an imported run."""

CORPUS_CAPTION = "corpus"
MADE_CAPTION = "made"
"""Where a caption comes from: the corpus, or a captioner."""

Xyxy = tuple[float, float, float, float]
Span = tuple[int, int]


class Status(StrEnum):
    """What became of one image-caption pair. Only OK, NO_PHRASES and NO_BOXES saw a usable pair."""

    OK = "ok"
    NO_PHRASES = "no_phrases"  # the caption names nothing that could be seen
    NO_BOXES = "no_boxes"  # phrases, but no candidate above the floor
    CAPTION_MISSING = "caption_missing"
    CAPTION_INVALID = "caption_invalid"  # not UTF-8, NUL bytes, longer than the limit
    IMAGE_MISSING = "image_missing"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    RECORD_INVALID = "record_invalid"  # the corpus row itself cannot be read
    DUPLICATE_ID = "duplicate_id"  # a second record with the id of an earlier one of its unit
    TEACHER_FAILED = "teacher_failed"  # the model raised on this record alone
    WORKER_CRASH = "worker_crash"  # the record ended its process, after bounded attempts
    WORKER_HANG = "worker_hang"  # the record never came back, after bounded attempts

    @property
    def is_quarantined(self) -> bool:
        """True where the row goes to `quarantine/`, not to `annotations/`."""
        return self not in (Status.OK, Status.NO_PHRASES, Status.NO_BOXES)


class PhraseStatus(StrEnum):
    """Whether a phrase was offered to the teacher, whether all of it was seen, and what a person
    says against its having no box."""

    OK = "ok"
    TRUNCATED = "truncated"  # beyond the teacher's token limit, not seen
    DOUBTED = "doubted"  # curated rows: no box, and a person says that something is there
    DROPPED = "dropped"  # curated rows: the policy drops such phrases, so no box says nothing
    NOT_VISUAL = "not_visual"  # pronoun, abstract or generic word: kept, not grounded


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusRecord:
    """One image-caption pair as read. Exactly one of `image_bytes` and `image_uri` may be None.

    `error` is set by a reader that could not read the record; the pair then becomes a row with
    that status and is not shown to the teacher.
    """

    record_id: str
    """Stable for ever: source / shard / key."""
    caption: str | None
    image_bytes: bytes | None = None
    image_uri: str | None = None
    source: str = ""
    error: tuple[Status, str] | None = None
    caption_origin: str = CORPUS_CAPTION
    """`corpus`, or `made` where a captioner made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A noun phrase of the caption. `caption[start:end] == text` always holds."""

    text: str
    start: int
    end: int
    head: str = ""
    """The head noun's lemma in lower case; empty where the parser gave none."""
    status: PhraseStatus = PhraseStatus.OK
    best_score: float = 0.0
    """The best score of any box for this phrase, also below the floor: a recorded negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedBox:
    """One candidate box for one phrase."""

    box_id: str
    """`<record_id>#<ordinal>`, unique in a run."""
    phrase_index: int
    xyxy: Xyxy
    score: float
    """sqrt(token_score x centerness), in [0, 1]."""
    token_score: float
    centerness: float
    proposed_by: str = ""
    """Of an ensemble: the teachers that found it, joined by ` + `; empty where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """All candidates of one pair: one row per input record, also for failures."""

    record_id: str
    source: str
    image_uri: str
    """Where the image can be read again: a path, a URL, or `<archive>#<member>`."""
    image_sha256: str
    width: int
    height: int
    caption: str
    status: Status
    detail: str
    phrases: tuple[Phrase, ...]
    boxes: tuple[GroundedBox, ...]
    teacher_id: str
    caption_origin: str = CORPUS_CAPTION
    """`corpus`, or `made` where a captioner made it."""


class Verdict(StrEnum):
    """What a person decided: the first four about a box, the others about a whole pair."""

    KEEP = "keep"
    DROP = "drop"
    EDIT = "edit"  # moved, or given to another phrase
    ADD = "add"  # a box the teacher did not find
    OPEN = "open"  # the word before is taken back: nobody's judgement stands
    DONE = "done"  # the pair was looked at to the end
    BAD = "bad"  # the pair is not training data, with a reason
    MISSING = "missing"  # something that the caption names has no box
    PHRASE = "phrase"  # words of the caption that the teacher was not asked for

    @property
    def is_of_pair(self) -> bool:
        """True for a verdict that is always about a whole pair (OPEN may be about either)."""
        return self in (Verdict.DONE, Verdict.BAD, Verdict.MISSING, Verdict.PHRASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One decision of a reviewer. Append-only; for a box the latest `decided_at` wins."""

    decision_id: str
    record_id: str
    box_id: str
    """The annotation's box id, or a new one for ADD; empty for a verdict about the whole pair."""
    verdict: Verdict
    xyxy: Xyxy | None
    phrase_index: int | None
    reviewer: str
    decided_at: str
    """UTC, ISO 8601 with microseconds: when the reviewer gave the word."""
    reason: str = ""
    """Why a pair is BAD, or what is MISSING; else a reviewer's remark."""
    before_review: str = ""
    """What stood before, as the app shows it (`pending`, `accepted`, ...); empty where unknown."""
    before_xyxy: Xyxy | None = None
    """Where the box stood before; None for a new box or a whole pair."""
    before_phrase_index: int | None = None
    """Whose phrase's it was before; None for a new box or a whole pair."""
    carried_from: str = ""
    """The decision of another run that this one repeats; empty for a person's own word here."""
    span: tuple[int, int] | None = None
    """Of PHRASE: the characters of the caption, [start, end); `phrase_index` is its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedBox:
    """A box that passed the policy and the decisions. It may carry several phrases."""

    box_id: str
    xyxy: Xyxy
    phrase_indices: tuple[int, ...]
    score: float
    origin: str
    """`teacher`, `human` (added or moved by a person) or `gold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratedRecord:
    """One usable pair: a pure function of annotations, policy and decisions."""

    record_id: str
    source: str
    image_uri: str
    image_sha256: str
    width: int
    height: int
    caption: str
    phrases: tuple[Phrase, ...]
    boxes: tuple[CuratedBox, ...]
    teacher_id: str
    policy_id: str
    decisions_id: str
    caption_origin: str = CORPUS_CAPTION


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSample:
    """What a student sees: boxes, each with the character spans that name it."""

    sample_id: str
    image_uri: str
    width: int
    height: int
    caption: str
    boxes: tuple[Xyxy, ...]
    spans: tuple[tuple[Span, ...], ...]
    """One tuple of spans per box."""
    weights: tuple[float, ...]
    """One weight per box, 1.0 for gold."""
    negative_spans: tuple[Span, ...] = ()
    """Phrases known to have no box in this image."""
    source: str = ""
