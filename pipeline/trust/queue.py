"""What people should look at first: labels that are probably wrong, with reasons in words.

The score is the chance of being wrong: learnt from the run's own verdicts where there are enough,
else from fixed weights of the same signs. It orders, and proves nothing (`calibrate` does that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipeline.curation.calibration import base_policy, read_calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.signals import (
    SIGNS,
    Floats,
    Signals,
    named_number,
    signals,
)
from pipeline.trust.suspects import Suspect, TopSuspects
from pipeline.trust.suspicion import (
    WEIGHTS,
    Judge,
    chance_of,
    fixed_judge,
    label_keys,
    last_verdicts,
    learn,
    noun_sizes,
)
from schemas.errors import ConfigError
from schemas.records import Decision

SAID_FROM = 0.3
"""A sign of this strength is told as a reason."""


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
    verdicts = last_verdicts(decisions)
    judge = learn(run, policy, calibration, sizes, verdicts) if verdicts else fixed_judge()
    best = TopSuspects(size)
    done = 0
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit):
            found = signals(labels, chance_of(labels, calibration), sizes)
            scores = judge(found.values)
            _keep(best, labels, found, scores, verdicts)
            _keep_missing(best, labels)
        done += commit.rows_out
        progress(done)
    return best.ranked(), judge


def _keep(
    best: TopSuspects,
    labels: Labels,
    found: Signals,
    scores: Floats,
    verdicts: Mapping[tuple[str, str], bool],
) -> None:
    places = np.flatnonzero(scores > best.least).tolist()
    keys = dict(label_keys(labels)) if places else {}
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
    text["alone"] = "not all teachers of the ensemble propose it"
    ranked = sorted(strength.items(), key=lambda item: -item[1] * WEIGHTS[item[0]])
    said = [text[sign] for sign, value in ranked if value >= SAID_FROM and sign in text]
    return tuple(said) or (text[ranked[0][0]],)
