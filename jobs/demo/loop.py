"""The demo's steps in order. Each is a command of the product, printed as a user would type it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.demo.steps import DemoSteps, RunCommand

if TYPE_CHECKING:
    from jobs.demo.auditor import AuditedPrecision
    from jobs.demo.options import Config
    from pipeline.evaluation.result import WrittenResult

POOLS = ("--pools", "seen", "web")
SHEET_PAIRS = 12
CELL_WIDTH = 320
REVIEWER = "simulated-reviewer"
NOT_DECIDING = ("open", "fresh", "other")
"""Options that a second run may have otherwise."""


class DemoLoop:
    """One demo in one folder."""

    def __init__(self, config: Config, run: RunCommand) -> None:
        self.config = config
        self.out = config.out
        self.steps = DemoSteps(out=config.out, run=run)
        self.world = self.out / "world"
        self.run_dir = self.out / "run"
        self.review_home = self.out / "review"
        self.student = self.out / "student"
        self.figures: list[tuple[str, str, WrittenResult]] = []
        self.audited: AuditedPrecision | None = None

    def run(self) -> int:
        """All steps; returns 0."""
        began = time.monotonic()
        options = {k: v for k, v in asdict(self.config).items() if k not in NOT_DECIDING}
        self.steps.prepare(options, fresh=self.config.fresh)
        self._make_world()
        self._label()
        self._audit()
        self._review()
        self._export()
        self._train()
        self._look()
        self._summary(time.monotonic() - began)
        if self.config.open and self._is_watched():
            self._command("review", "open", self.run_dir, "--home", self.review_home)
        return 0

    # --- steps -----------------------------------------------------------------------------------

    def _make_world(self) -> None:
        self._say("A small world, drawn by code: captioned scenes, and held-out ones with boxes")
        seed = ("--seed", self.config.seed)
        self.steps.draw(self.world / "web", "--scenes", self.config.scenes, "--flaws", 4, *seed)
        styles = ("--styles", "noto", "fluent-flat", "fluent")
        size = ("--scenes", self.config.held_out, *POOLS)
        self.steps.draw(self.world / "held-out", "--kind", "gold", *size, *styles, *seed)

    def _label(self) -> None:
        self._say("The teacher finds a box for every noun phrase of every caption")
        teacher = ("--teacher", self.config.teacher) if self.config.teacher else ()
        size = ("--records-per-unit", 32)
        place = ("--corpus", self.world / "web", "--out", self.run_dir)
        self._command("label", *place, "--runner", self.config.runner, *size, *teacher)
        self._command("filter", self.run_dir)
        self._judge("labels, before review")

    def _audit(self) -> None:
        from jobs.demo.auditor import AUDIT_SIZE, audited_precision, judge_drawn, true_labels
        from pipeline.curation.rules.presets import get_policy
        from pipeline.gold import load_gold
        from pipeline.run.store import RunStore

        self._say(
            "How precise are these labels? A few are drawn at random and judged, and the precision "
            "of all of them follows. Only in a drawn world can it be compared with the truth"
        )
        run, policy = RunStore(self.run_dir), get_policy("default")
        truth = true_labels(run, policy, load_gold(str(self.world / "web-truth.json"), "mdetr"))
        if not truth:
            print("the run has no label: there is nothing to judge")
            return
        self._command("audit", self.run_dir, "--size", AUDIT_SIZE)
        print(f"{REVIEWER}: {judge_drawn(run, truth, REVIEWER)} drawn labels judged")
        self._command("calibrate", self.run_dir)
        self.audited = audited_precision(run, policy, truth)
        print(self.audited.sentence())

    def _review(self) -> None:
        self._say(
            "Review in FiftyOne. The demo's reviewer is simulated: it knows the truth, and presses "
            "Accept and Reject in the App's database as a person would in the App"
        )
        home = ("--home", self.review_home)
        self._command("review", "push", self.run_dir, "--policy", "default", *home)
        self._simulate_reviewer()
        self._command("review", "pull", self.run_dir, "--reviewer", REVIEWER, *home)
        self._command("filter", self.run_dir)
        self._judge("labels, after review")

    def _simulate_reviewer(self) -> None:
        from jobs.demo.reviewer import judge_by_truth
        from pipeline.gold import load_gold
        from pipeline.run.store import RunStore

        gold = load_gold(str(self.world / "web-truth.json"), "mdetr")
        judged = judge_by_truth(
            str(self.run_dir),
            RunStore(self.run_dir),
            gold,
            pairs=self.config.reviewed,
            home=self.review_home,
        )
        print(
            f"{REVIEWER}: {judged.pairs} pairs looked at, {judged.accepted} boxes accepted, "
            f"{judged.rejected} rejected"
        )

    def _export(self) -> None:
        self._say("Curated labels in the formats that other trainers read")
        exports = self.out / "exports"
        images = ("--copy-images", exports / "images", "--force")
        for name, ending in (("goldg", "json"), ("odvg", "jsonl"), ("coco", "json")):
            file = exports / f"{name}.{ending}"
            self._command("export", self.run_dir, "--out", file, "--format", name, *images)

    def _train(self) -> None:
        self._say("A student with the same network learns from the curated labels")
        source = self.config.teacher or _shipped()
        self._command(
            *("pretrain", "--out", self.student, "--preset", "glip-nano"),
            *("--curated", self.run_dir, "--warm-start", source),
            *("--steps", self.config.steps, "--batch-size", 16, "--rate", 0.0001),
            *("--set", "train.schedule.warmup_steps=5", "--set", "train.log_every=10"),
            shown=source if not self.config.teacher else "",
        )
        gold = ("--gold", self.world / "held-out" / "grounding.json")
        for name, model in (
            ("teacher, held-out scenes", self.config.teacher or "shipped"),
            ("student, held-out scenes", self.student / "model"),
        ):
            file = self._figures_file(name)
            self._command("evaluate", "--teacher", model, *gold, "--out", file)
            self._read_figures(name, str(model), file)

    def _look(self) -> None:
        self._say("To look at")
        self._write_contact_sheet()
        self._command("report", self.run_dir, "--out", self.out / "report.html")

    # --- what a step is made of ------------------------------------------------------------------

    def _judge(self, name: str) -> None:
        file = self._figures_file(name)
        truth = self.world / "web-truth.json"
        self._command("evaluate", "--run", self.run_dir, "--gold", truth, "--out", file)
        self._read_figures(name, str(self.run_dir), file)

    def _read_figures(self, name: str, subject: str, file: Path) -> None:
        from pipeline.evaluation.result import WrittenResult

        self.figures.append((name, subject, WrittenResult.read(file)))

    def _is_watched(self) -> bool:
        from jobs.review.open import has_screen

        return sys.stdin.isatty() and sys.stdout.isatty() and has_screen()

    def _figures_file(self, name: str) -> Path:
        folder = self.out / "figures"
        folder.mkdir(exist_ok=True)
        return folder / f"{name.replace(', ', '-').replace(' ', '-')}.json"

    def _command(self, *words: object, shown: str = "") -> None:
        self.steps.command(*words, shown=shown)

    def _say(self, text: str) -> None:
        self.steps.say(text)

    def _write_contact_sheet(self) -> None:
        from pipeline.curation.curate import iter_curated
        from pipeline.curation.rules.presets import get_policy
        from pipeline.images.decode import decode_image
        from pipeline.images.draw import contact_sheet
        from pipeline.images.fetch import read_image_uri
        from pipeline.report.pictures import boxes_picture, caption_strip, choose_samples
        from pipeline.run.limits import image_limits
        from pipeline.run.store import RunStore

        policy = get_policy("default").policy_id
        run = RunStore(self.run_dir)
        chosen, limits = choose_samples(iter_curated(run, policy), SHEET_PAIRS), image_limits(run)
        if not chosen:
            print("contact sheet: no pair has labels")
            return
        from PIL import Image

        pictures, captions = [], []
        for record in chosen:
            array = decode_image(read_image_uri(record.image_uri), limits).array
            pictures.append(boxes_picture(record, Image.fromarray(array), CELL_WIDTH))
            captions.append(caption_strip(record, CELL_WIDTH))
        contact_sheet(pictures, captions, columns=4, cell_width=CELL_WIDTH).save(self.sheet)
        print(f"written {self.sheet}")

    @property
    def sheet(self) -> Path:
        """The picture of labelled scenes."""
        return self.out / "contact-sheet.png"

    def _summary(self, seconds: float) -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table(title="What came of it", title_justify="left")
        for column in ("", "figure", "value", "95 % interval", "chance"):
            table.add_column(column)
        for name, _, found in self.figures:
            for row in _rows(found):
                table.add_row(name, *row)
                name = ""
            if self.audited is not None and found is self.figures[0][2]:
                for row in self.audited.rows():
                    table.add_row("", *row)
        Console().print(table)
        print(
            "The teacher is the shipped glip-nano: small, trained by this project on drawings like "
            "these.\nIt has never seen a photograph. The student took only a few steps: this shows "
            "the way, not a gain.\n"
            if not self.config.teacher
            else ""
        )
        for path, what in (
            (self.sheet, "labelled scenes in one picture"),
            (self.out / "report.html", "the run in one page"),
            (self.run_dir, "the run: Parquet, one file per unit, and its commits"),
            (self.out / "exports", "GoldG, ODVG and COCO files with their images"),
            (self.student / "model", "the student: give it to --teacher"),
        ):
            print(f"  {path!s:<36} {what}")
        home = f"--home {self.review_home}"
        print(
            f"\n{seconds:.0f} s. Next:\n"
            f"  {_program()} review open {self.run_dir} {home}   look at the boxes, press Accept\n"
            f"  {_program()} status {self.run_dir}\n"
            f"  {_program()} label --corpus YOUR_IMAGES --out my-run --teacher YOUR_MODEL\n"
            f"  {_program()} convert --help   the official GLIP weights as a teacher"
        )


def _rows(found: WrittenResult) -> list[tuple[str, str, str, str]]:
    figures = {
        "label precision": found.label_precision,
        "label recall": found.label_recall,
        "phrase R@1": found.phrase_r1,
    }
    return [(name, *figure.texts()) for name, figure in figures.items() if figure is not None]


def _shipped() -> str:
    from model.files.shipped import shipped_nano

    return str(shipped_nano())


def _program() -> str:
    """`glipforge` as it can be typed here: a fresh clone has it in .venv, not on the PATH."""
    if shutil.which("glipforge"):
        return "glipforge"
    beside = Path(sys.executable).parent / "glipforge"
    return os.path.relpath(beside) if beside.exists() else "python -m jobs"
