"""What people should look at first: labels that are probably wrong, with reasons in words.

The score is the chance of being wrong: learnt from the run's own verdicts where there are enough,
else from fixed weights of the same signs. It orders, and proves nothing (`calibrate` does that).
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.curation.calibration import FOLDER, Calibration, base_policy, read_calibration
from pipeline.curation.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.storage.files import exists, read_bytes, write_bytes
from pipeline.storage.parquet_bytes import table_of
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.signals import (
    SIGNS,
    Floats,
    NounSizes,
    Signals,
    log_sizes,
    named_number,
    signals,
)
from schemas.errors import ConfigError
from schemas.records import Decision, Verdict

WEIGHTS = dict(zip(SIGNS, (2.0, 2.5, 3.0, 2.0, 2.0), strict=True))
"""Log-odds of being wrong for each sign at its full strength, where nothing was learnt."""
PRIOR = -3.0
MIN_JUDGED, MIN_WRONG = 60, 12
"""Fewer verdicts than these teach nothing that fixed weights do not know better."""
SPREAD_FLOOR = 0.25
"""Of log size: nouns that were seen a few times are not taken for exact."""
SAID_FROM = 0.3
"""A sign of this strength is told as a reason."""
QUEUE_SCHEMA = pa.schema(
    [
        ("record_id", pa.string()),
        ("box_id", pa.string()),
        ("phrase", pa.string()),
        ("queue_score", pa.float32()),
        ("queue_reasons", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One label that is probably wrong, or a phrase with too few boxes (`box_id` is empty)."""

    record_id: str
    box_id: str
    phrase: str
    queue_score: float
    queue_reasons: tuple[str, ...]


class TopSuspects:
    """The most suspicious so far; of equal ones those that came first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, Suspect]] = []
        self._seen = 0

    @property
    def least(self) -> float:
        """What a suspect must exceed."""
        return self._heap[0][0] if len(self._heap) == self._size else -1.0

    def add(self, suspect: Suspect) -> None:
        """Take it in if it is among the most suspicious."""
        self._seen += 1
        entry = (suspect.queue_score, -self._seen, suspect)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def ranked(self) -> list[Suspect]:
        """Most suspicious first."""
        return [suspect for _, _, suspect in sorted(self._heap, key=lambda e: (-e[0], -e[1]))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How signs become a chance of being wrong."""

    weights: NDArray[np.float64]
    """[len(SIGNS)]"""
    bias: float
    judged: int
    """Verdicts that it was learnt from; 0: fixed weights."""

    def __call__(self, values: Floats) -> Floats:
        """[L]"""
        return np.asarray(1 / (1 + np.exp(-(values @ self.weights + self.bias))))


def make_queue(
    run: RunStore,
    policy: FilterPolicy,
    decisions: Sequence[Decision] = (),
    *,
    size: int = 1000,
    progress: Callable[[int], object] = lambda done: None,
) -> tuple[list[Suspect], Judge]:
    """The most suspicious labels of a policy, most suspicious first; judged ones are left out.

    Three passes over columns: usual sizes, what verdicts teach, the labels. Phrases that name more
    than are boxed come in between, with an empty `box_id`.

    Raises:
        ConfigError: `size` is not 1 or more.
        DataError: a file breaks the contract.
    """
    if size < 1:
        raise ConfigError(f"size must be 1 or more, got {size}")
    policy = base_policy(policy)
    calibration = read_calibration(run, policy)
    sizes = noun_sizes(run, policy)
    verdicts = _verdicts(decisions)
    judge = _learn(run, policy, calibration, sizes, verdicts) if verdicts else fixed_judge()
    best = TopSuspects(size)
    done = 0
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit):
            found = signals(labels, _chance(labels, calibration), sizes)
            scores = judge(found.values)
            _keep(best, labels, found, scores, verdicts)
            _keep_missing(best, labels)
        done += commit.rows_out
        progress(done)
    return best.ranked(), judge


def fixed_judge() -> Judge:
    """The one that learnt nothing."""
    weights = np.array([WEIGHTS[sign] for sign in SIGNS])
    return Judge(weights=weights, bias=PRIOR, judged=0)


def noun_sizes(run: RunStore, policy: FilterPolicy) -> NounSizes:
    """Usual size of the labels of each noun."""
    sums: dict[str, NDArray[np.float64]] = {}
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit):
            for noun, size in zip(labels.nouns(), log_sizes(labels).tolist(), strict=True):
                entry = sums.setdefault(noun, np.zeros(3))
                entry += (1.0, size, size * size)
    mean, spread = {}, {}
    for noun, (number, total, squares) in sums.items():
        mean[noun] = total / number
        variance = max(squares / number - (total / number) ** 2, 0.0)
        # As if two labels an e-fold away had been seen too: of three labels little is usual.
        spread[noun] = max(((variance * number + 2) / (number + 2)) ** 0.5, SPREAD_FLOOR)
    return NounSizes(mean=mean, spread=spread)


def write_queue(run: RunStore, policy: FilterPolicy, suspects: Sequence[Suspect]) -> str:
    """Write RUN/trust/queue-<policy>.parquet, in order; returns its address."""
    columns = {field.name: [getattr(one, field.name) for one in suspects] for field in QUEUE_SCHEMA}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=QUEUE_SCHEMA), buffer, compression="zstd")
    where = queue_path(run, policy)
    write_bytes(where, buffer.getvalue())
    return where


def read_queue(run: RunStore, policy: FilterPolicy) -> list[Suspect]:
    """The queue of a policy, most suspicious first.

    Raises:
        ConfigError: there is none.
    """
    where = queue_path(run, policy)
    if not exists(where):
        raise ConfigError(
            f"the run has no queue of policy {base_policy(policy).policy_id}; glipforge queue RUN "
            "makes one"
        )
    rows = table_of(read_bytes(where)).to_pylist()
    return [Suspect(**(row | {"queue_reasons": tuple(row["queue_reasons"])})) for row in rows]


def queue_path(run: RunStore, policy: FilterPolicy) -> str:
    """Where the queue of a policy stands."""
    return run.url(FOLDER, f"queue-{base_policy(policy).policy_id}.parquet")


# --- parts -------------------------------------------------------------------------------------


def _chance(labels: Labels, calibration: Calibration | None) -> Floats:
    """Of being right by the score: the calibrated one where there is one."""
    level = labels.level.astype(np.float64)
    if calibration is None or len(calibration.scores) < 2:
        return level
    return np.interp(level, calibration.scores, calibration.probabilities)


def _verdicts(decisions: Iterable[Decision]) -> dict[tuple[str, str], bool]:
    """(record_id, box_id) -> right, by the last word about it."""
    found: dict[tuple[str, str], bool] = {}
    for one in sorted(decisions, key=lambda d: (d.decided_at, d.decision_id)):
        if one.verdict in (Verdict.KEEP, Verdict.DROP):
            found[one.record_id, one.box_id] = one.verdict == Verdict.KEEP
        elif one.verdict == Verdict.EDIT:
            found[one.record_id, one.box_id] = False  # it had to be mended
    return found


def _learn(
    run: RunStore,
    policy: FilterPolicy,
    calibration: Calibration | None,
    sizes: NounSizes,
    verdicts: Mapping[tuple[str, str], bool],
) -> Judge:
    """Logistic regression on the signs of judged labels; fixed weights of too few."""
    records = {record_id for record_id, _ in verdicts}
    values, wrong = [], []
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit):
            ids = labels.table.column("record_id").to_pylist()
            if records.isdisjoint(ids):
                continue
            found = signals(labels, _chance(labels, calibration), sizes)
            for place, key in _keys(labels):
                if key in verdicts:
                    values.append(found.values[place])
                    wrong.append(not verdicts[key])
    if len(wrong) < MIN_JUDGED or not MIN_WRONG <= sum(wrong) <= len(wrong) - MIN_WRONG:
        return fixed_judge()
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=10.0, max_iter=1000).fit(np.array(values), np.array(wrong))
    return Judge(weights=fit.coef_[0], bias=float(fit.intercept_[0]), judged=len(wrong))


def _keys(labels: Labels) -> Iterable[tuple[int, tuple[str, str]]]:
    box_ids = labels.table.column("boxes").combine_chunks().flatten().field("box_id")
    own = box_ids.take(pa.array(labels.index)).to_pylist()
    record_ids = labels.table.column("record_id").to_pylist()
    rows = labels.candidates.row_of[labels.index].tolist()
    return enumerate((record_ids[row], box_id) for row, box_id in zip(rows, own, strict=True))


def _keep(
    best: TopSuspects,
    labels: Labels,
    found: Signals,
    scores: Floats,
    verdicts: Mapping[tuple[str, str], bool],
) -> None:
    places = np.flatnonzero(scores > best.least).tolist()
    keys = dict(_keys(labels)) if places else {}
    for place in places:
        record_id, box_id = keys[place]
        if (record_id, box_id) in verdicts:
            continue
        phrase = int(labels.candidates.phrase_of[labels.index[place]])
        best.add(
            Suspect(
                record_id=record_id,
                box_id=box_id,
                phrase=labels.candidates.phrases.text[phrase].as_py(),
                queue_score=round(float(scores[place]), 4),
                queue_reasons=reasons(labels, found, place),
            )
        )


def _keep_missing(best: TopSuspects, labels: Labels) -> None:
    """Phrases that name more things than have a label."""
    candidates = labels.candidates
    texts = candidates.phrases.text.to_pylist()
    boxed = np.bincount(candidates.phrase_of[labels.index], minlength=len(texts))
    row_of = np.repeat(np.arange(candidates.num_rows), np.diff(candidates.phrases.offsets))
    record_ids = labels.table.column("record_id")
    for phrase in np.flatnonzero(boxed > 0).tolist():
        named = named_number(texts[phrase])
        have = int(boxed[phrase])
        if named > have:
            best.add(
                Suspect(
                    record_id=record_ids[int(row_of[phrase])].as_py(),
                    box_id="",
                    phrase=texts[phrase],
                    queue_score=round(0.5 + 0.4 * (named - have) / named, 4),
                    queue_reasons=(f"the caption names {named}, {have} have a box",),
                )
            )


def reasons(labels: Labels, found: Signals, place: int) -> tuple[str, ...]:
    """Why a label is suspicious, the strongest sign first."""
    strength = dict(zip(SIGNS, found.values[place].tolist(), strict=True))
    phrases = labels.candidates.phrases
    text = {"doubt": f"low chance of being right by its score ({labels.level[place]:.2f})"}
    if found.rival[place] >= 0:
        rival = int(found.rival[place])
        other = phrases.text[int(labels.candidates.phrase_of[rival])].as_py()
        text["rival"] = (
            f"another phrase fits here as well: {other!r} ({labels.candidates.scores[rival]:.2f})"
        )
    phrase = int(labels.candidates.phrase_of[labels.index[place]])
    how = "larger" if found.larger[place] else "smaller"
    text["size"] = f"{how} than such things are in this run: {phrases.text[phrase].as_py()!r}"
    text["place"] = "another candidate lies half over it: its edges may be wrong"
    text["count"] = f"the caption names {found.named[place]}, {found.boxed[place]} have a box"
    ranked = sorted(strength.items(), key=lambda item: -item[1] * WEIGHTS[item[0]])
    said = [text[sign] for sign, value in ranked if value >= SAID_FROM and sign in text]
    return tuple(said) or (text[ranked[0][0]],)
