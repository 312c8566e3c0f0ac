"""What a policy says about phrases, whatever their boxes: word lists, nonwords, thresholds."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Phrases
from pipeline.curation.rules.filter_result import (
    CODE_OF,
    PHRASE_ENTITY,
    PHRASE_NONWORD,
    PHRASE_WORD,
)
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.phrases.drop_words import LEADING_WORDS
from schemas.errors import ConfigError
from schemas.records import Phrase

_NONWORD = re.compile(
    r"""(?ix)
    (?:https?://|www\.)\S+ | \S+\.(?:com|org|net|jpe?g|png|html?)  # addresses and file names
    | [#@]\S+                                                       # hashtags and mentions
    | \W* (?: \d[\d.,:/'-]* (?: st|nd|rd|th|s )? \W* )+             # numbers, dates and times
    | \W* [a-z]? \W*                                                 # at most one Latin letter
    """
)
# Two letters in a row and nothing that an address, a tag or a number needs: no further look.
_PLAIN = r"^[A-Za-z '-]*[A-Za-z][A-Za-z][A-Za-z '-]*$"


@lru_cache(maxsize=2**16)
def is_nonword(text: str) -> bool:
    """True for single characters, numbers, dates, URLs, file names, hashtags and mentions."""
    return _NONWORD.fullmatch(text.strip()) is not None


def phrase_head(phrase: Phrase) -> str:
    """The head noun in lower case; where the parser gave none, the last word without articles."""
    return head_of(phrase.head, phrase.text)


def head_of(head: str, text: str) -> str:
    """As `phrase_head`, of a phrase's two fields."""
    if head:
        return head.lower()
    words = [word for word in text.lower().split() if word not in LEADING_WORDS]
    return words[-1] if words else text.lower().strip()


def bare_text(text: str) -> str:
    """A phrase in lower case without articles and the like before it: `The red umbrella` and
    `a red umbrella` are `red umbrella`."""
    words = text.lower().split()
    while len(words) > 1 and words[0] in LEADING_WORDS:
        del words[0]
    return " ".join(words)


def phrase_heads(phrases: Phrases) -> tuple[NDArray[np.int64], list[str]]:
    """For each phrase the number of its head noun, [P], and the nouns by number."""
    numbers, written = _distinct(phrases.head)
    blank = written.index("") if "" in written else -1
    nouns = [head.lower() for head in written]
    if blank >= 0:
        rows = np.flatnonzero(numbers == blank)
        places, texts = _distinct(phrases.text.take(pa.array(rows)))
        numbers = numbers.copy()
        numbers[rows] = places + len(nouns)
        nouns += [head_of("", text) for text in texts]
    return numbers, nouns


def phrase_codes(phrases: Phrases, policy: FilterPolicy) -> NDArray[np.uint8]:
    """The reason for which a phrase's boxes all go, [P]; 0 where there is none."""
    codes = np.zeros(len(phrases), dtype=np.uint8)
    if policy.drop_nonwords:
        codes[_nonwords(phrases.text)] = CODE_OF[PHRASE_NONWORD]
    if policy.drop_entities:
        if phrases.entities is None:
            raise ConfigError(
                f"policy {policy.name!r} drops named entities (drop_entities), and none are known "
                "here: `glipforge enrich RUN --with phrases` makes the layer that names them, "
                "`glipforge filter` and `export` read it"
            )
        named = pc.is_in(phrases.entities, value_set=pa.array(list(policy.drop_entities)))
        named = named.to_numpy(zero_copy_only=False)
        codes[named & (codes == 0)] = CODE_OF[PHRASE_ENTITY]
    words = policy.words()
    if words:  # written last: this rule is the first
        numbers, nouns = phrase_heads(phrases)
        listed = np.array([noun in words for noun in nouns] or [False], dtype=bool)
        codes[listed[numbers]] = CODE_OF[PHRASE_WORD]
    return codes


def phrase_thresholds(
    phrases: Phrases, policy: FilterPolicy
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """For each phrase the score that its boxes must exceed, [P], and where that is its own or its
    class's threshold; None where the policy has one for all."""
    if not policy.class_thresholds and not policy.phrase_thresholds:
        return None
    own = np.full(len(phrases), np.nan)
    if policy.class_thresholds:
        numbers, nouns = phrase_heads(phrases)
        of_noun = [policy.class_thresholds.get(noun, np.nan) for noun in nouns]
        own = np.array(of_noun or [np.nan])[numbers]
    if policy.phrase_thresholds:
        numbers, texts = _distinct(phrases.text)
        of_text = [policy.phrase_thresholds.get(bare_text(text), np.nan) for text in texts]
        named = np.array(of_text or [np.nan])[numbers]
        own = np.where(np.isnan(named), own, named)
    has = ~np.isnan(own)
    return np.where(has, own, policy.score_threshold).astype(np.float32), has


def _nonwords(text: pa.Array) -> NDArray[np.bool_]:
    found = np.zeros(len(text), dtype=bool)
    plain = pc.match_substring_regex(text, _PLAIN).to_numpy(zero_copy_only=False)
    unsure = np.flatnonzero(~plain)
    if len(unsure):
        numbers, texts = _distinct(text.take(pa.array(unsure)))
        found[unsure] = np.array([is_nonword(one) for one in texts])[numbers]
    return found


def _distinct(strings: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """For each string the number of its value, and the values."""
    encoded = strings.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()
