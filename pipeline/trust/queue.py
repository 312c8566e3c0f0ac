"""What people should look at first: labels that are probably wrong, with reasons in words.

The score is the chance of being wrong: learnt from the run's own verdicts where there are enough,
else from fixed weights of the same signs. It orders, and proves nothing (`calibrate` does that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.curation.calibration import base_policy, read_calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.missing import missing_boxes
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.signals import (
    SIGNS,
    Floats,
    Signals,
    signals,
)
from pipeline.trust.strata import lowest_threshold
from pipeline.trust.suspects import Suspect, TopSuspects
from pipeline.trust.suspicion import (
    WEIGHTS,
    Judge,
    chance_of,
    fixed_judge,
    label_keys,
    last_verdicts,
    learn,
)
from pipeline.trust.usual import opinion_columns, usual_values
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

    Three passes over columns: what is usual, what verdicts teach, the labels. Phrases that name
    more than is boxed, or what only the threshold took away, come in between, without `box_id`;
    not of a class list, which names the same in every image.

    Raises:
        ConfigError: `size` is not 1 or more.
        DataError: a file breaks the contract.
    """
    if size < 1:
        raise ConfigError(f"size must be 1 or more, got {size}")
    policy = base_policy(policy)
    calibration = read_calibration(run, policy, states=False)
    columns, notes = opinion_columns(run)
    usual = usual_values(run, policy, columns)
    verdicts = last_verdicts(decisions)
    judge = fixed_judge()
    if verdicts:
        judge = learn(run, policy, calibration, usual, columns, verdicts)
    judge = replace(judge, columns=columns, notes=notes)
    best, lowest = TopSuspects(size), lowest_threshold(policy)
    done = 0
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit, also=columns):
            found = signals(labels, chance_of(labels, calibration), usual)
            scores = judge(found.values)
            _keep(best, labels, found, scores, verdicts)
            for suspect in () if usual.is_class_list else missing_boxes(labels, lowest):
                best.add(suspect)
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
    text["clip"] = (
        f"CLIP sees less of {phrases.text[phrase].as_py()!r} here than is usual in this run"
    )
    text["stability"] = "the teacher does not find it again in the flipped or scaled image"
    text["count"] = f"the caption names {found.named[place]}, {found.boxed[place]} have a box"
    text["alone"] = "not all teachers of the ensemble propose it"
    ranked = sorted(strength.items(), key=lambda item: -item[1] * WEIGHTS[item[0]])
    said = [text[sign] for sign, value in ranked if value >= SAID_FROM and sign in text]
    return tuple(said) or (text[ranked[0][0]],)
