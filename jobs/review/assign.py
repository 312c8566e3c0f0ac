"""`glipforge review assign`: split the open pairs among reviewers."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass

import tyro

from jobs.arguments import MaybeDir, Run
from jobs.review.same_place import same_place
from pipeline.review.sync.store.run_dataset import pushed_dataset, review_store


@dataclass(frozen=True, kw_only=True)
class Assign:
    """Split the pairs that are still open among reviewers; each gets a saved view."""

    run: tyro.conf.Positional[Run]
    """The run directory."""
    reviewers: str
    """Names, with commas between them, as they are given to `review open --reviewer`."""
    overlap: float = 0.0
    """Share of the pairs that two reviewers get, to measure how far they agree."""
    seed: int = 0
    """Another seed, another split."""
    dataset: str | None = None
    """Name of the dataset in the app; from the run's name if not given."""
    home: MaybeDir = None
    """Where the review database lives; $GLIPFORGE_REVIEW_HOME if not given."""


def assign_run(config: Assign) -> int:
    """Assign and print the shares; returns 0.

    Raises:
        ConfigError: the run was never pushed, or names or overlap cannot be.
    """
    from pipeline.review.home import reviewer_name
    from pipeline.review.sync.dataset.assignment import (
        open_pairs,
        split,
        view_name,
        write_assignment,
    )
    from pipeline.review.sync.dataset.dataset_process import assignment_views

    names = [reviewer_name(name) for name in config.reviewers.split(",")]
    split([], names, overlap=config.overlap)  # refuses before anything starts
    with review_store(config.home) as (home, database, store):
        stored = pushed_dataset(store, config.run, config.dataset)
        samples = open_pairs(stored)
        found = split(samples, names, overlap=config.overlap, seed=config.seed)
        assignment_views(home, database.uri, stored.name, names)
        write_assignment(stored, samples, found)
    place = same_place(config.dataset, config.home)
    if not found:
        print("0 open pairs: each was called done, bad or missing, so there is nothing to assign")
        print(f"next: glipforge review pull {shlex.quote(config.run)}{place}")
        return 0
    counts = Counter(name for of_pair in found.values() for name in of_pair)
    both = sum(len(of_pair) > 1 for of_pair in found.values())
    shares = ", ".join(f"{name} {counts[name]:,}" for name in names)
    print(f"{len(found):,} open pairs: {shares}; {both:,} of them for two")
    for name in names:
        run, reviewer = shlex.quote(config.run), shlex.quote(name)
        print(f"next: glipforge review open {run} --reviewer {reviewer}{place}")
    print(f"each has a saved view of their pairs, as {view_name(names[0])!r}")
    return 0
