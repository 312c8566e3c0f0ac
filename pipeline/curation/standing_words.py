"""Whose words stand on labels that were drawn; a promise holds as long as they do. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pipeline.curation.agreement import RULE, Key
from pipeline.curation.decisions import in_order
from schemas.fingerprint import fingerprint
from schemas.records import Decision, Verdict

UNSURE = "unsure"
"""How the reason of a decision begins when the reviewer could not tell."""


def is_unsure(word: Decision) -> bool:
    """True of the word of a reviewer who could not tell."""
    return word.reason.strip().lower().startswith(UNSURE)


def standing_words(
    labels: Collection[Key], decisions: Iterable[Decision]
) -> dict[Key, dict[str, Decision]]:
    """Label -> reviewer -> the word of theirs that stands; no entry where nobody's does.

    The last word of each reviewer counts. A pair that a reviewer calls bad stands over their words
    on its boxes, whichever came first. A label that is opened again, by whomever, has the words
    that come after alone. Words of rules, and those said about another run's box, are nobody's.
    """
    wanted = set(labels)
    pairs = {record_id for record_id, _ in wanted}
    boxes: dict[Key, dict[str, Decision]] = {}
    bad: dict[str, dict[str, Decision]] = {}
    for word in in_order(decisions):
        key = (word.record_id, word.box_id)
        if word.carried_from or word.reviewer.startswith(RULE) or word.record_id not in pairs:
            continue
        if word.box_id:
            if key in wanted:
                _hear(boxes.setdefault(key, {}), word)
        elif word.verdict == Verdict.BAD:
            bad.setdefault(word.record_id, {})[word.reviewer] = word
        elif word.verdict == Verdict.OPEN:
            bad.pop(word.record_id, None)
        elif word.verdict != Verdict.PHRASE:
            bad.get(word.record_id, {}).pop(word.reviewer, None)
    found = {key: {**boxes.get(key, {}), **bad.get(key[0], {})} for key in wanted}
    return {key: words for key, words in found.items() if words}


def _hear(words: dict[str, Decision], word: Decision) -> None:
    if word.verdict == Verdict.OPEN and not is_unsure(word):
        words.clear()
    else:
        words[word.reviewer] = word


def words_id(labels: Collection[Key], decisions: Iterable[Decision]) -> str:
    """Fingerprint of what is said about some labels, whenever it was said."""
    said = [
        [*key, reviewer, str(word.verdict), word.xyxy, word.phrase_index, is_unsure(word)]
        for key, words in standing_words(labels, decisions).items()
        for reviewer, word in words.items()
    ]
    return fingerprint(sorted(said, key=str))
