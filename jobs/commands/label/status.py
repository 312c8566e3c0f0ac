"""Explain a labelling or training run from its own files: how far, how fast, what failed."""

from __future__ import annotations

import json as json_module
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import Run
from schemas.errors import ConfigError
from schemas.records import Status

READ_FOR_REVIEWS = 200_000
"""`status` reads the rows of a run up to this size: that of a larger one must stay quick."""
if TYPE_CHECKING:
    from pipeline.run.status import RunStatus
    from pipeline.run.store import RunStore

EXAMPLES = ("glipforge status runs/1 --watch 10",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge status`."""

    run: tyro.conf.Positional[Run]
    """The directory or URL of a labelling run, or the directory of a training run."""
    watch: float = 0.0
    """Print it again every so many seconds, until the run is complete; 0: once."""
    json: bool = False
    """Print JSON."""


def run(config: Config) -> int:
    """Print the state of a run; returns 0."""
    from jobs.training.status import is_training, print_training, read_training
    from pipeline.run import status as labelling
    from pipeline.run.store import RunStore
    from schemas.checked import to_plain

    if config.watch < 0:
        raise ConfigError(f"watch must be 0 or more, got {config.watch}")
    folder = Path(config.run)
    run_store = RunStore(config.run)
    trains = is_training(folder)
    while True:
        found = read_training(folder) if trains else labelling.read_status(run_store)
        if config.json:
            print(json_module.dumps(to_plain(found)), flush=True)
        elif isinstance(found, labelling.RunStatus):
            print_status(found)
            _print_layers(run_store)
            _print_reviews(run_store)
        else:
            print_training(found)
        if not config.watch or found.complete:
            return 0
        time.sleep(config.watch)


def _print_layers(run_store: RunStore) -> None:
    """Of each layer how many units it has, and how many of its rows have no value."""
    from pipeline.layers.store import layers_of

    total = len(run_store.commits())
    for layer in layers_of(run_store):
        made = layer.commits()
        rows = sum(commit.rows_out for commit in made.values())
        failed = rows - sum(commit.status_counts.get("ok", 0) for commit in made.values())
        example = next((e for c in made.values() for e in c.examples.values()), "")
        why = f"; {failed:,} without a value, e.g. {example}" if failed else ""
        print(f"layer    {layer.kind.name}: {len(made):,} of {total:,} units, {rows:,} rows{why}")


def _print_reviews(run_store: RunStore) -> None:
    """What the decisions of people say, where there are some."""
    from pipeline.curation.decisions import load_decisions
    from pipeline.curation.pushed import read_pushed
    from pipeline.report.reviews import lines, progress_line, review_stats

    decisions = load_decisions(run_store)
    small = run_store.num_records() <= READ_FOR_REVIEWS
    stats = review_stats(run_store.iter_annotations() if small else (), decisions)
    if stats is None:
        return
    text = lines(stats)
    pushed = read_pushed(run_store)
    if small and pushed is not None:
        text.insert(0, progress_line(stats, pushed))
    print(f"review   {text[0]}")
    for line in text[1:]:
        print(f"         {line}")
    if not small:
        print(
            "         for so large a run, `glipforge report RUN` has the share of accepted labels"
        )


def print_status(found: RunStatus) -> None:
    """The state of a labelling run in a few lines."""
    usable = sum(n for name, n in found.statuses.items() if not Status(name).is_quarantined)
    print(f"run      {found.run}: {_state(found)}")
    print(f"units    {found.units_done:,} of {found.units:,} committed")
    print(f"rows     {found.rows:,}: {usable:,} usable, {found.rows - usable:,} with a reason")
    for name, number in found.statuses.items():
        if found.captioner and name == Status.NO_PHRASES:
            print(f"captions {number:,} images, by {found.captioner}")
            continue
        if found.captioner and name == Status.NO_BOXES:
            print(f"left     {number:,} images that have a caption of their own")
            continue
        example = f"   e.g. {found.examples[name]}" if name in found.examples else ""
        print(f"  {name:<16} {number:>10,}{example}")
        if name == Status.CAPTION_MISSING and not found.captioner:
            print("                   `glipforge caption` makes captions; --names does without any")
    if not found.captioner:
        print(f"boxes    {found.boxes:,} candidates above the floor")
    if found.rows_per_worker_second:
        rate = f"{found.rows_per_worker_second:.1f} images/s per unit at work"
        stages = ", ".join(
            f"{stage} {seconds:.1f}"
            for stage, seconds in found.seconds.items()
            if stage != "total" and seconds >= 0.05
        )
        print(f"speed    {rate}; seconds by stage: {stages}")
    for failure in found.batch_failures:
        print(
            f"retried  {failure.stage}: {failure.batches:,} batches failed and were asked again "
            f"one pair at a time; the first with {failure.first}"
        )
    if len(found.slowest_units) > 1:
        slow = (f"{time.unit} {time.per_row:.2f}" for time in found.slowest_units)
        print(f"slowest  seconds per row: {', '.join(slow)}")
    if not found.complete and found.pending_units:
        print(f"next     {', '.join(found.pending_units)}")


def _state(found: RunStatus) -> str:
    if found.complete:
        return "complete"
    name = "caption" if found.captioner else "label"
    holder = found.driver
    if holder is None:
        return f"not complete and nobody works on it; the same `glipforge {name}` command goes on"
    who = f"process {holder.pid or '?'} on {holder.host or '?'}"
    if not found.is_driven:
        return (
            f"not complete; {who} gave no sign of life for {holder.silent_s:,.0f} s and is "
            f"probably gone; the same `glipforge {name}` command goes on"
        )
    who += " works on it"
    if found.seconds_left:
        who += (
            f", {found.rows_per_second:.1f} images/s, about {found.seconds_left / 60:.0f} min left"
        )
    return who
