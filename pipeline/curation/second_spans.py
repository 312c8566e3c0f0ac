"""Further phrases that a box carries: referring expressions, and shorter endings on the same noun.

Kosmos-2's GRIT keeps a noun chunk and its expression with the same boxes; OWL-ST learns from every
n-gram. Both are second spans here: the teacher was asked for the chunk. All rows of a table at
once; only phrases that are not plain ASCII words are looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Ints, flat_list
from pipeline.curation.rules.overlap import ranks
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import PhraseReadings
from pipeline.phrases.drop_words import LEADING_WORDS
from schemas.arrow_schemas import CURATED_SCHEMA

MAX_WORDS = 10
"""OWL-ST's longest n-gram (Minderer, Gritsenko and Houlsby, 2023, section 3.1)."""
_PLAIN = "^[!-~]+( [!-~]+)*$"
"""ASCII words with one space between: Arrow cuts them as Python does."""
_HEAD_CHARS = 3


@dataclass(frozen=True, slots=True)
class _Spans:
    """Second spans in the order of their phrases: [S] each, of one table."""

    owner: Ints
    """The phrase whose boxes carry it, counted over all rows."""
    start: Ints
    end: Ints
    """Characters of the caption."""

    def ordered(self, *more: _Spans) -> _Spans:
        """With others behind, by phrase; of one phrase as they stand."""
        owner = np.concatenate([self.owner, *(other.owner for other in more)])
        order = np.argsort(owner, kind="stable")
        start = np.concatenate([self.start, *(other.start for other in more)])
        end = np.concatenate([self.end, *(other.end for other in more)])
        return _Spans(owner[order], start[order], end[order])


def with_second_spans(
    curated: pa.Table, policy: FilterPolicy, readings: PhraseReadings | None
) -> tuple[pa.Table, int]:
    """Curated rows whose boxes carry second spans too, and how many phrases were added.

    Raises:
        DataError: a pair is not in the layer `phrases`.
    """
    offsets, phrases = flat_list(curated, "phrases")
    box_offsets, boxes = flat_list(curated, "boxes")
    row_of = np.repeat(np.arange(curated.num_rows), np.diff(offsets))
    carried, per_box = _carried(box_offsets, boxes, offsets)
    used = np.unique(carried)
    spans = _Spans(*(np.zeros(0, np.int64) for _ in range(3)))
    if "expressions" in policy.second_spans and readings is not None:
        own = readings.at(curated.column("record_id").combine_chunks())
        spans = _expressions(own, used, row_of, offsets)
    if "ngrams" in policy.second_spans:
        spans = spans.ordered(_ngrams(phrases, used))
    place, first = _places(spans, row_of, offsets, phrases)
    added = _added_phrases(curated, phrases, spans, first, row_of)
    indices = _phrase_indices(carried, per_box, spans, place, offsets[:-1], row_of)
    columns = {
        "phrases": _longer(phrases, row_of, added, row_of[spans.owner[first]], curated.num_rows),
        "boxes": _with_indices(box_offsets, boxes, indices),
    }
    arrays = [columns.get(name, curated.column(name)) for name in CURATED_SCHEMA.names]
    return pa.Table.from_arrays(arrays, schema=CURATED_SCHEMA), len(first)


def endings(text: str) -> Iterator[int]:
    """Where the shorter endings of a phrase begin: of `a red sports car` those of `red sports car`,
    `sports car` and `car`."""
    words = list(re.finditer(r"\S+", text))
    for number, word in enumerate(words[1:], start=1):
        if word.group().lower() not in LEADING_WORDS and len(words) - number <= MAX_WORDS:
            yield word.start()


def ends_on_noun(text: str, head: str) -> bool:
    """Whether a phrase ends on its noun; one that a person drew may end elsewhere."""
    words = text.lower().split()
    return not head or (bool(words) and words[-1].startswith(head[:_HEAD_CHARS]))


def _carried(box_offsets: Ints, boxes: pa.StructArray, offsets: Ints) -> tuple[Ints, Ints]:
    """The phrases that boxes carry, counted over all rows, and how many each box carries."""
    lists = boxes.field("phrase_indices")
    per_box = np.diff(lists.offsets.to_numpy())
    first = np.repeat(np.repeat(offsets[:-1], np.diff(box_offsets)), per_box)
    return first + lists.flatten().to_numpy(), per_box


def _expressions(readings: PhraseReadings, used: Ints, row_of: Ints, offsets: Ints) -> _Spans:
    """The referring expression of each phrase that has one."""
    sizes = pc.fill_null(pc.list_value_length(readings.starts), 0).to_numpy().astype(np.int64)
    behind = np.cumsum(sizes) - sizes
    rows = row_of[used]
    local = used - offsets[rows]
    known = local < sizes[rows]  # a phrase that a person drew was not read
    used, places = used[known], (behind[rows] + local)[known]
    start, end = (
        a.flatten().to_numpy().astype(np.int64)[places] for a in (readings.starts, readings.ends)
    )
    has = start >= 0
    return _Spans(used[has], start[has], end[has])


def _ngrams(phrases: pa.StructArray, used: Ints) -> _Spans:
    """The shorter endings of each phrase that ends on its noun."""
    text, head = (phrases.field(name).take(pa.array(used)) for name in ("text", "head"))
    start, end = (phrases.field(n).to_numpy().astype(np.int64)[used] for n in ("start", "end"))
    plain = pc.match_substring_regex(text, _PLAIN).to_numpy(zero_copy_only=False)
    of_plain, at_plain = _plain_endings(text, head, np.flatnonzero(plain))
    others = np.flatnonzero(~plain)
    found = [
        (number, place)
        for number, own, noun in zip(
            others.tolist(),
            text.take(pa.array(others)).to_pylist(),
            head.take(pa.array(others)).to_pylist(),
            strict=True,
        )
        if ends_on_noun(own, noun)
        for place in endings(own)
    ]
    of_others, at_others = np.array(found, dtype=np.int64).reshape(-1, 2).T
    number = np.concatenate([of_plain, of_others])
    place = np.concatenate([at_plain, at_others])
    order = np.argsort(number, kind="stable")
    number, place = number[order], place[order]
    return _Spans(used[number], start[number] + place, end[number])


def _plain_endings(text: pa.Array, head: pa.Array, chosen: Ints) -> tuple[Ints, Ints]:
    """`endings` of the chosen texts, each of plain words: the text's number, and where."""
    text, head = text.take(pa.array(chosen)), head.take(pa.array(chosen))
    lists = pc.split_pattern(pc.ascii_lower(text), " ")
    offsets = lists.offsets.to_numpy().astype(np.int64)
    words = lists.flatten()
    sizes = np.diff(offsets)
    number = np.repeat(np.arange(len(text)), sizes)
    rank = ranks(number)
    after = np.cumsum(pc.binary_length(words).to_numpy().astype(np.int64) + 1)
    # A word begins where those before it in its phrase end.
    before = np.concatenate([[0], after])
    begin = before[:-1] - np.repeat(before[offsets[:-1]], sizes)
    leading = pc.is_in(words, value_set=pa.array(sorted(LEADING_WORDS)))
    keep = (rank > 0) & (sizes[number] - rank <= MAX_WORDS)
    keep &= ~leading.to_numpy(zero_copy_only=False)
    keep &= _on_noun(words.take(pa.array(offsets[1:] - 1)), head)[number]
    return chosen[number[keep]], begin[keep]


def _on_noun(last: pa.Array, head: pa.Array) -> NDArray[np.bool_]:
    """`ends_on_noun` of the last words, which are plain and in lower case."""
    short = pc.utf8_slice_codeunits(head, 0, _HEAD_CHARS)
    sizes = pc.utf8_length(short).to_numpy()
    found = sizes == 0
    for size in range(1, _HEAD_CHARS + 1):
        same = pc.equal(pc.utf8_slice_codeunits(last, 0, size), short)
        found |= (sizes == size) & same.to_numpy(zero_copy_only=False)
    return np.asarray(found)


def _places(
    spans: _Spans, row_of: Ints, offsets: Ints, phrases: pa.StructArray
) -> tuple[Ints, Ints]:
    """For each span its phrase's place in its row, [S]; and the spans that no phrase has, the first
    of equal ones, [A]."""
    start, end = (phrases.field(n).to_numpy().astype(np.int64) for n in ("start", "end"))
    rows = row_of[spans.owner]
    begin, stop = np.concatenate([start, spans.start]), np.concatenate([end, spans.end])
    _, span = np.unique(begin * (int(stop.max(initial=0)) + 1) + stop, return_inverse=True)
    _, key = np.unique(np.concatenate([row_of, rows]) * (len(span) + 1) + span, return_inverse=True)
    known, wanted = np.split(key, [len(phrases)])
    place_of = np.full(len(key), -1, dtype=np.int64)
    place_of[known] = np.arange(len(phrases)) - offsets[row_of]  # of equal phrases the last
    absent = np.flatnonzero(place_of[wanted] < 0)
    _, first = np.unique(wanted[absent], return_index=True)
    first = absent[np.sort(first)]
    place_of[wanted[first]] = np.diff(offsets)[rows[first]] + ranks(rows[first])
    return place_of[wanted], first


def _added_phrases(
    curated: pa.Table, phrases: pa.StructArray, spans: _Spans, first: Ints, row_of: Ints
) -> pa.StructArray:
    """The phrases that are new, each like the one that it comes from but for its span."""
    captions = curated.column("caption").to_pylist()
    owner, start, end = spans.owner[first], spans.start[first], spans.end[first]
    places = zip(row_of[owner].tolist(), start.tolist(), end.tolist(), strict=True)
    own = phrases.take(pa.array(owner))
    arrays = {
        "text": pa.array([captions[row][a:b] for row, a, b in places], pa.string()),
        "start": pa.array(start.astype(np.int32)),
        "end": pa.array(end.astype(np.int32)),
    }
    kind = phrases.type
    return pa.StructArray.from_arrays(
        [arrays[f.name] if f.name in arrays else own.field(f.name) for f in kind], fields=list(kind)
    )


def _longer(
    phrases: pa.StructArray, row_of: Ints, added: pa.StructArray, added_to: Ints, num_rows: int
) -> pa.ListArray:
    """The lists of phrases with those added behind."""
    rows = np.concatenate([row_of, added_to])
    order = np.argsort(rows, kind="stable")
    values = pa.concat_arrays([phrases, added]).take(pa.array(order))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=num_rows))])
    kind = CURATED_SCHEMA.field("phrases").type
    return pa.ListArray.from_arrays(offsets.astype(np.int32), values, type=kind)


def _phrase_indices(
    carried: Ints, per_box: Ints, spans: _Spans, place: Ints, first_of_row: Ints, row_of: Ints
) -> tuple[Ints, Ints]:
    """What each box carries now, one box after the other, and offsets: its own, then what those
    bring, each once."""
    box = np.repeat(np.arange(len(per_box)), per_box)
    begin = np.searchsorted(spans.owner, carried)
    brought = np.searchsorted(spans.owner, carried, side="right") - begin
    inside = np.arange(brought.sum()) - np.repeat(np.cumsum(brought) - brought, brought)
    boxes = np.concatenate([box, np.repeat(box, brought)])
    values = np.concatenate(
        [carried - first_of_row[row_of[carried]], place[np.repeat(begin, brought) + inside]]
    )
    order = np.argsort(boxes, kind="stable")
    boxes, values = boxes[order], values[order]
    key = boxes * (int(values.max(initial=0)) + 1) + values
    _, first = np.unique(key, return_index=True)
    first.sort()
    offsets = np.concatenate([[0], np.cumsum(np.bincount(boxes[first], minlength=len(per_box)))])
    return values[first], offsets


def _with_indices(
    box_offsets: Ints, boxes: pa.StructArray, indices: tuple[Ints, Ints]
) -> pa.ListArray:
    """The lists of boxes with other `phrase_indices`."""
    kind = boxes.type
    values, offsets = indices
    lists = pa.ListArray.from_arrays(
        offsets.astype(np.int32),
        pa.array(values.astype(np.int32)),
        type=kind.field("phrase_indices").type,
    )
    arrays = [lists if f.name == "phrase_indices" else boxes.field(f.name) for f in kind]
    return pa.ListArray.from_arrays(
        box_offsets.astype(np.int32),
        pa.StructArray.from_arrays(arrays, fields=list(kind)),
        type=CURATED_SCHEMA.field("boxes").type,
    )
