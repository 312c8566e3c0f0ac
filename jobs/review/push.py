"""`glipforge review push`: show a run in the app."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import tyro

from jobs.arguments import MaybeDir, MaybeRun, Run
from jobs.review.same_place import same_place
from pipeline.review.sync.store.run_dataset import dataset_name, review_store, run_address

if TYPE_CHECKING:
    from pipeline.curation.carry import CarryReport
    from pipeline.review.sync.push.push import PushReport
    from pipeline.review.sync.push.selection import Selection
    from pipeline.run.store import RunStore

SHOWN_FAILURES = 10
NOT_CARRIED = "not_carried.jsonl"


@dataclass(frozen=True, kw_only=True)
class Push:
    """Show a run in the app; human work that is already there stays."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    policy: str | None = None
    """Show what this filter policy keeps; all candidates if not given."""
    queue: Literal["", "audit", "errors"] = ""
    """In a dataset of its own: `audit`: what `glipforge audit` drew; `errors`: what `glipforge
    queue` found most suspicious."""
    audit: str = ""
    """With --queue audit: which, by its id, where the run has several; in a dataset of its own."""
    min_score: float = 0.0
    """Show candidates with at least this score."""
    limit: int | None = None
    """Show at most so many pairs."""
    rebuild: bool = False
    """Drop the dataset and make it again from the run; refused while it holds unpulled work."""
    discard_unpulled: bool = False
    """With --rebuild: drop what people did since the last pull."""
    carry: MaybeRun = None
    """An older run over the same corpus: its decisions move to the boxes of this one."""
    carry_min_iou: float = 0.7
    """With --carry: from which overlap on two boxes of a phrase are the same one."""
    restore: bool = False
    """Show pairs again that were deleted in the app or called bad."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


def push_run(
    config: Push, *, chosen: Mapping[str, frozenset[str]] | None = None, called: str = ""
) -> PushReport:
    """Make or refresh the dataset of a run.

    Args:
        config: Which run and how.
        chosen: record_id -> the boxes to show; other pairs are left out. None: as `config` says.
        called: What such a choice is called.

    Raises:
        ConfigError: unknown policy, a limit below 1, unusable home, or --rebuild over unpulled
            work.
    """
    from jobs.progress_bar import reading_bar
    from pipeline.curation.decisions import load_decisions
    from pipeline.curation.kept_boxes import kept_box_ids
    from pipeline.curation.pushed import Pushed, write_pushed
    from pipeline.curation.recommended import policy_for
    from pipeline.review.sync.dataset.dataset import LAYOUT, LAYOUT_KEY
    from pipeline.review.sync.dataset.dataset_process import (
        drop_dataset,
        make_dataset,
        update_layout,
    )
    from pipeline.review.sync.push.media import MediaStore
    from pipeline.review.sync.push.push import forget, push
    from pipeline.review.sync.push.run_notes import read_notes
    from pipeline.review.sync.push.selection import Selection
    from pipeline.review.sync.store.mongo_store import find_dataset, get_dataset
    from pipeline.run.limits import image_access
    from pipeline.run.open import open_run
    from schemas.errors import ConfigError

    if config.limit is not None and config.limit < 1:
        raise ConfigError(f"limit must be at least 1, got {config.limit}")
    if config.audit and config.queue != "audit":
        raise ConfigError(f"audit {config.audit!r} needs --queue audit, got {config.queue!r}")
    run_store = open_run(config.run)
    selection = Selection(
        min_score=config.min_score,
        policy=None if config.policy is None else policy_for(run_store, config.policy),
    )
    if config.carry is not None:
        carry_decisions(run_store, config.carry, min_iou=config.carry_min_iou)
    decisions = load_decisions(run_store)
    name = dataset_name(config.run, config.dataset)
    if config.queue:
        selection = _queue(config, run_store)
        name = config.dataset or "-".join(filter(None, (name, config.queue, config.audit[:8])))
    if chosen is not None:
        selection = Selection(box_ids=chosen, queue=called, leaves_judged_out=True)
    elif selection.policy is not None and selection.policy.layer_columns():
        # Rows know no layers: the columns are asked.
        kept = kept_box_ids(run_store, selection.policy, min_score=config.min_score)
        selection = Selection(box_ids=kept, queue=selection.name)
    shown = selection.policy or policy_for(run_store, None)
    show_all = bool(config.policy or config.queue) or chosen is not None
    notes = read_notes(run_store, shown, show_all=show_all)
    for sentence in notes.said:
        print(f"note: {sentence}", file=sys.stderr)
    if config.queue == "audit":
        notes = replace(notes, suspects={}, missing={})  # they would sway who judges the sample
    started = time.monotonic()
    with review_store(config.home) as (home, database, store):
        found = find_dataset(store, name)
        if found is not None and config.rebuild:
            _check_pulled(found, run_store, decisions, config)
            forget(found)
            drop_dataset(home, database.uri, name)
            found = None
        if found is None:
            print("starting FiftyOne (it takes some seconds to load)", flush=True)
            info = {"run": run_address(config.run), "selection": selection.name}
            make_dataset(home, database.uri, name, info)
            found = get_dataset(store, name)
        elif found.info.get(LAYOUT_KEY) != LAYOUT:
            print("the dataset is of an earlier version: adding fields and views", flush=True)
            update_layout(home, database.uri, name)
        count = run_store.num_records()
        with reading_bar("push", min(count, config.limit or count)) as bar:
            report = push(
                found,
                run_store.iter_annotations,
                decisions,
                media=MediaStore(home.media, image_access(run_store)),
                selection=selection,
                limit=config.limit,
                restore=config.restore,
                notes=notes,
                progress=bar,
            )
    seconds = time.monotonic() - started
    size = Pushed(dataset=name, pairs=report.pairs - report.left_out, boxes=report.shown)
    write_pushed(run_store, size)
    print(
        f"dataset {name}: {report.added} pairs added, {report.refreshed} refreshed, "
        f"{report.unchanged} unchanged, {report.removed} removed, {report.boxes} boxes, "
        f"{report.kept_labels} labels left as people made them ({seconds:.1f} s)"
    )
    if report.left_out:
        print(
            f"{report.left_out} pairs that people deleted in the app or called bad stay out; "
            "--restore shows them again"
        )
    if report.edited_meanwhile:
        print(f"{report.edited_meanwhile} pairs were edited during the push and left alone")
    for record_id, reason in report.failures[:SHOWN_FAILURES]:
        print(f"not shown: {record_id}: {reason}", file=sys.stderr)
    if len(report.failures) > SHOWN_FAILURES:
        print(f"...and {len(report.failures) - SHOWN_FAILURES} more", file=sys.stderr)
    named = name if name != dataset_name(config.run, None) else None
    print(f"next: glipforge review open {quote(config.run)}{same_place(named, config.home)}")
    return report


def _queue(config: Push, run_store: RunStore) -> Selection:
    from pipeline.curation.recommended import policy_for
    from pipeline.review.sync.push.selection import Selection
    from pipeline.trust.audit_sample import find_audit
    from pipeline.trust.suspects import read_queue

    policy = None if config.policy is None else policy_for(run_store, config.policy)
    if config.queue == "errors":
        boxes: dict[str, set[str]] = {}
        for one in read_queue(run_store, policy or policy_for(run_store, "default")):
            boxes.setdefault(one.record_id, set()).update([one.box_id] if one.box_id else ())
        found = {record_id: frozenset(ids) for record_id, ids in boxes.items()}
        return Selection(box_ids=found, queue="errors")
    sample = find_audit(run_store, policy, config.audit)
    return Selection(box_ids=sample.box_ids(), queue=f"audit {sample.audit_id}")


def carry_decisions(run_store: RunStore, old_uri: str, *, min_iou: float) -> CarryReport:
    """Append the decisions of an older run that fit this one, and list the others in a file.

    Raises:
        ConfigError: the old run is not one, or is this one, or `min_iou` is not in (0, 1].
    """
    import json

    from pipeline.curation.carry import carry
    from pipeline.curation.decisions import append_decisions, decisions_by_record, load_decisions
    from pipeline.run.open import open_run
    from schemas.errors import ConfigError

    old_store = open_run(old_uri)
    if run_address(old_store.uri) == run_address(run_store.uri):
        raise ConfigError(f"carry must name another run, got this one ({old_uri})")
    report = carry(
        old_store.iter_annotations(),
        run_store.iter_annotations(),
        decisions_by_record(load_decisions(old_store)),
        decisions_by_record(load_decisions(run_store)),
        min_iou=min_iou,
    )
    append_decisions(run_store, report.decisions)
    rows = [
        {
            "record_id": one.record_id,
            "box_id": one.box_id,
            "verdict": str(one.verdict),
            "reason": one.reason,
        }
        for one in report.left
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    where = run_store.write(text.encode(), NOT_CARRIED)
    print(f"{len(report.decisions):,} decisions carried over from {old_uri}")
    for reason, count in report.reasons().most_common():
        print(f"not carried: {count:,} x {reason}")
    if report.left:
        print(f"each of them: {where}")
    return report


def _check_pulled(found: Any, run_store: Any, decisions: Any, config: Push) -> None:
    from pipeline.review.sync.pull.pull import unpulled
    from schemas.errors import ConfigError

    if config.discard_unpulled:
        return
    count = unpulled(found, run_store.iter_annotations(), decisions)
    if count:
        named = found.name if found.name != dataset_name(config.run, None) else None
        raise ConfigError(
            f"dataset {found.name!r} holds {count} changes that were never pulled; run "
            f"`glipforge review pull {config.run}{same_place(named, config.home)}` first, or add "
            "--discard-unpulled"
        )
