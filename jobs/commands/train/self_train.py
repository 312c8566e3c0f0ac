"""Rounds of self-training: a teacher labels, a student learns from the labels, and labels next.

Takes the options of `glipforge label`, and the recipe of a student. Every round has a folder with
its run, its student and its figures; the same command goes on after any stop, and more --rounds go
on after the last.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from jobs.arguments import FilePath, Repeated
from jobs.commands.label import label
from schemas.errors import ConfigError, DataError, GlipforgeError

if TYPE_CHECKING:
    from pipeline.evaluation.result import WrittenResult

EXAMPLES = (
    "glipforge self-train --corpus photos --out rounds --recipe recipe.json --held-out test.json",
)
TABLE = "rounds.json"


class RoundFailed(GlipforgeError):
    """A step of a round did not end well."""


@dataclass(frozen=True, kw_only=True)
class Config(label.Config):
    """Options of `glipforge self-train`: those of labelling, then these.

    `out` is a local folder: it gets round-1, round-2, ... with `run`, `student` and `figures` in
    each. `teacher` labels the first round.
    """

    recipe: FilePath
    """The student's recipe (JSON), as for `glipforge pretrain`: network, gold data, optimisation.
    The labels of the round are added to its sources."""
    rounds: int = 2
    """How many; each labels the whole corpus and trains one student."""
    policy: str = "default"
    """Which labels a student learns from: a preset, or a JSON file."""
    labels_weight: float | None = None
    """Share of the labels in the stream, beside the weights of the recipe's own sources; by the
    number of samples if neither has any."""
    start: Literal["recipe", "teacher"] = "recipe"
    """Where every student starts: as the recipe says, or from the weights of its teacher."""
    held_out: Repeated = ()
    """Gold data on which the first teacher and every student are measured; may be given several
    times."""
    negatives: int = -1
    """Held-out detection gold: see `glipforge evaluate --negatives`."""
    threads: int = 0
    """Threads of the training's arithmetic; 0: as torch chooses."""
    training_workers: int = 1
    """Processes that train together, on Ray Train."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds must be at least 1, got {self.rounds}")
        if self.labels_weight is not None and self.labels_weight <= 0:
            raise ConfigError(f"labels_weight must be positive, got {self.labels_weight}")


def run(config: Config) -> int:
    """All rounds; returns 0."""
    from pipeline.storage.files import is_local, local_path

    if not is_local(config.out):
        raise ConfigError(f"out must be a local folder, where trainings live; got {config.out!r}")
    if not config.recipe.is_file():
        raise ConfigError(f"recipe: there is no file {str(config.recipe)!r}")
    names = [_name(gold) for gold in config.held_out]
    if len(set(names)) < len(names):
        raise ConfigError(f"held_out: two data sets have one name: {', '.join(sorted(names))}")
    return SelfTraining(config, Path(local_path(config.out))).run()


class SelfTraining:
    """The rounds of one folder."""

    def __init__(self, config: Config, out: Path) -> None:
        self.config = config
        self.out = out

    def run(self) -> int:
        """Label, filter, train and measure, round after round."""
        teacher = self.config.teacher
        figures = self._measure(teacher or "shipped", self.out / "teacher")
        rows = [{"round": 0, "model": teacher or "shipped", "figures": figures}]
        for number in range(1, self.config.rounds + 1):
            print(f"\n== Round {number} of {self.config.rounds}: {teacher or 'shipped'} labels")
            place = self.out / f"round-{number}"
            row: dict[str, Any] = {"round": number, "run": str(place / "run")}
            row |= self._label(place / "run", teacher)
            if number > 1:
                before = self.out / f"round-{number - 1}" / "run"
                row["against_the_round_before"] = self._compare(before, place / "run")
            self._train(place, teacher)
            teacher = str(place / "student" / "model")
            row |= {"model": teacher, "figures": self._measure(teacher, place)}
            rows.append(row)
            text = json.dumps(rows, indent=1, sort_keys=True)
            (self.out / TABLE).write_text(text + "\n", encoding="utf-8")
        print_rounds(rows)
        corpora = " ".join(f"--corpus {quote(uri)}" for uri in self.config.corpus)
        print(
            f"written {self.out / TABLE}; next: glipforge label {corpora} "
            f"--out {quote(str(self.out / 'labels'))} --teacher "
            f"{quote(str(teacher))}"
        )
        return 0

    def _label(self, run_dir: Path, teacher: str | None) -> dict[str, Any]:
        from jobs.commands.curate import filter as filter_job
        from pipeline.curation.curate import ensure_curated
        from pipeline.curation.recommended import policy_for
        from pipeline.run.open import open_run

        of_label = {field.name: getattr(self.config, field.name) for field in fields(label.Config)}
        code = label.run(label.Config(**of_label | {"out": str(run_dir), "teacher": teacher}))
        if code:
            raise RoundFailed(f"{run_dir} is not complete, see above; the same command goes on")
        filter_job.run(filter_job.Config(run=str(run_dir), policy=(self.config.policy,)))
        labelled = open_run(str(run_dir))
        stats = ensure_curated(labelled, policy_for(labelled, self.config.policy))
        return {"pairs": stats.records_out, "labels": stats.boxes_out.total()}

    def _compare(self, before: Path, now: Path) -> dict[str, Any]:
        from jobs.commands.curate.compare import as_json
        from pipeline.curation.recommended import policy_for
        from pipeline.report.compare import COLUMNS, compare_runs
        from pipeline.run.columns import run_tables
        from pipeline.run.open import open_run

        runs = [open_run(str(path)) for path in (before, now)]
        a, b = (run_tables(run, COLUMNS) for run in runs)
        policies = (policy_for(run, self.config.policy) for run in runs)
        return as_json(compare_runs(a, b, *policies), 50)

    def _train(self, place: Path, teacher: str | None) -> None:
        from jobs.commands.train.pretrain import train
        from jobs.training.load_recipe import load_recipe
        from jobs.training.recipe import SourceSpec
        from jobs.training.run import Machine
        from model.files.shipped import shipped_nano

        config = self.config
        labels = SourceSpec(
            curated=str(place / "run"),
            policy=config.policy,
            name="labels",
            weight=config.labels_weight,
        )
        start = (teacher or str(shipped_nano())) if config.start == "teacher" else None
        recipe = load_recipe(
            config.recipe,
            None,
            changes={} if start is None else {"warm_start": start},
            sources=(labels,),
        )
        machine = Machine(
            device=config.device, threads=config.threads, cache_root=self.out / "cache"
        )
        train(recipe, place / "student", machine, config.training_workers)

    def _measure(self, model: str, place: Path) -> dict[str, dict[str, Any]]:
        from jobs.commands.train import evaluate
        from pipeline.evaluation.result import WrittenResult

        found = {}
        for gold in self.config.held_out:
            path = place / "figures" / f"{_name(gold)}.json"
            if not path.exists():
                evaluate.run(
                    evaluate.Config(
                        gold=gold,
                        teacher=model,
                        negatives=self.config.negatives,
                        device=self.config.device,
                        out=path,
                    )
                )
            found[_name(gold)] = headline(WrittenResult.read(path))
        return found


def headline(result: WrittenResult) -> dict[str, Any]:
    """The one figure of a data set that a table of rounds has room for: R@1 of phrases in any of
    their boxes, or AP50 where the gold is of categories."""
    name, found = ("AP50", result.ap50) if result.ap50 else ("R@1", result.phrase_r1)
    if found is None:
        raise DataError("neither phrases nor categories were measured on held-out gold")
    return {"figure": name, **asdict(found)}


def print_rounds(rows: list[dict[str, Any]]) -> None:
    """A row for each round."""
    from rich.console import Console
    from rich.table import Table

    held_out = list(rows[0]["figures"])
    table = Table(box=None, pad_edge=False)
    for name in ("round", "pairs", "labels", "agreement", "score"):
        table.add_column(name, justify="right")
    for name in held_out:
        one = rows[0]["figures"][name]
        chance = "" if one["chance"] is None else f"\nchance {one['chance']:.3f}"
        title = f"{name}\n{one['figure']}{chance}"
        table.add_column(title, justify="right", overflow="fold")
    for row in rows:
        change = row.get("against_the_round_before", {}).get("total", {})
        table.add_row(
            str(row["round"]),
            f"{row['pairs']:,}" if "pairs" in row else "",
            f"{row['labels']:,}" if "labels" in row else "",
            f"{change['agreement']:.1%}" if change.get("agreement") is not None else "",
            f"{change['mean_shift']:+.3f}" if change.get("mean_shift") is not None else "",
            *(_interval(row["figures"][name]) for name in held_out),
        )
    Console().print(table)


def _interval(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "nothing to measure"
    return f"{figure['value']:.3f}\n{figure['low']:.2f}-{figure['high']:.2f}"


def _name(gold: str) -> str:
    """Name of held-out data: its file beside its folder."""
    path = Path(gold)
    return f"{path.parent.name}-{path.stem}" if path.parent.name else path.stem
