"""Does a student of pseudo-labels beat its teacher where captions know more than gold?

The teacher knows the words of gold data. It labels a corpus whose captions also name other words
(`web`). A student learns from gold and these labels, a control from gold alone, with the same
steps from the same start. All are measured on held-out scenes, by words and by art style.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jobs.demo.figures import CONTROL, STUDENT, draw_plot, print_results
from jobs.demo.steps import DemoSteps, RunCommand
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.evaluation.result import WrittenResult

ALL_STYLES = ("noto", "fluent-flat", "fluent")
HELD_OUT: dict[str, tuple[object, ...]] = {
    "seen": ("--pools", "seen", "--styles", *ALL_STYLES),
    "web": ("--pools", "web", "--styles", *ALL_STYLES),
    "never": ("--pools", "never", "--styles", *ALL_STYLES),
    "new-style": ("--pools", "seen", "--styles", "fluent"),
}
KINDS = (CONTROL, STUDENT)
LABELS_WEIGHT = 0.5
"""Share of the labels in what a student sees."""
NEGATIVES = 15
FROZEN_WORDS = {"pattern": "*word_embeddings*", "rate": 0.0}
NO_DECAY = {"pattern": "*bias*", "decay": 0.0}


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """Options of `glipforge demo experiment`; about half an hour for each training on a core."""

    out: Path = Path("experiment-run")
    """Where everything is written; the same command goes on there."""
    gold_scenes: int = 12_000
    """Scenes with boxes: seen words, two art styles."""
    web_scenes: int = 12_000
    """Captioned scenes that are labelled: seen and web words, three art styles."""
    held_out: int = 400
    """Scenes of each measurement."""
    steps: int = 2400
    """Of each training."""
    batch_size: int = 16
    rate: float = 5e-4
    """Learning rate at its height."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One student and one control for each."""
    teacher: str = ""
    """A model directory; the shipped glip-nano if not given. Also the start of both trainings."""
    policy: str = "default"
    """Which labels the student learns from."""
    runner: Literal["ray", "local"] = "ray"
    """Who labels."""
    threads: int = 1
    """Of each training."""
    at_once: int = 1
    """Trainings that run together."""
    rounds: int = 0
    """Further rounds of self-training, from the student of the first seed: it labels the captioned
    scenes anew, and its student starts where it started."""
    fresh: bool = False
    """Remove what is in OUT, and begin again."""

    def __post_init__(self) -> None:
        counts = ("gold_scenes", "web_scenes", "held_out", "steps", "batch_size")
        for name in (*counts, "threads", "at_once"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.rounds < 0:
            raise ConfigError(f"rounds must be 0 or more, got {self.rounds}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds must be different numbers, at least one, got {self.seeds}")


def run(config: ExperimentConfig, run_command: RunCommand) -> int:
    """All of it; returns 0."""
    return Experiment(config, run_command).run()


class Experiment:
    """One experiment in one folder."""

    def __init__(self, config: ExperimentConfig, run: RunCommand) -> None:
        self.config = config
        self.steps = DemoSteps(out=config.out, run=run)
        self.world = config.out / "world"
        self.run_dir = config.out / "run"
        self.rounds = config.out / "rounds"

    def run(self) -> int:
        """Draw, label, train, measure, compare."""
        free = ("fresh", "threads", "at_once", "rounds")  # may be others when it goes on
        options = {k: v for k, v in asdict(self.config).items() if k not in free}
        self.steps.prepare(options, fresh=self.config.fresh)
        self._draw()
        self._label()
        self._train()
        models = {"teacher": [self.config.teacher or "shipped"]}
        for kind in KINDS:
            models[kind] = [str(self._place(kind, seed) / "model") for seed in self.config.seeds]
        for number in self._go_on_in_rounds():
            models[f"round {number + 1}"] = [str(self.rounds / f"round-{number}/student/model")]
        self.steps.say("Figures on held-out scenes")
        figures = {kind: [self._measure(model) for model in m] for kind, m in models.items()}
        path = self.config.out / "results.json"
        path.write_text(json.dumps(figures, indent=1) + "\n")
        print_results(figures)
        draw_plot(figures, path.with_suffix(".svg"))
        print(f"written {path} and {path.with_suffix('.svg')}")
        return 0

    def _draw(self) -> None:
        self.steps.say("The world")
        config = self.config
        self.steps.draw(self.world / "gold", "--kind", "gold", "--scenes", config.gold_scenes)
        self.steps.draw(self.world / "web", "--scenes", config.web_scenes)
        for name, options in HELD_OUT.items():
            place = self.world / f"held-out-{name}"
            self.steps.draw(place, "--kind", "gold", "--scenes", config.held_out, *options)

    def _label(self) -> None:
        self.steps.say("The teacher labels the captioned scenes")
        config = self.config
        teacher = ("--teacher", config.teacher) if config.teacher else ()
        place = ("--corpus", self.world / "web", "--out", self.run_dir)
        self.steps.command("label", *place, "--runner", config.runner, *teacher)
        self.steps.command("filter", self.run_dir, "--policy", config.policy)
        truth = ("--gold", self.world / "web-truth.json", "--policy", config.policy)
        out = ("--out", config.out / "labels.json")
        self.steps.command("evaluate", "--run", self.run_dir, *truth, *out)

    def _place(self, kind: str, seed: int) -> Path:
        return self.config.out / f"{kind}-{seed}"

    def _train(self) -> None:
        """Seed by seed, so that an experiment that is stopped has whole seeds."""
        self.steps.say("Controls and students")
        config = self.config
        for kind in KINDS:
            text = json.dumps(self._recipe(kind), indent=1)
            (config.out / f"{kind}.json").write_text(text + "\n")
        calls: dict[Path, tuple[object, ...]] = {}
        for seed in config.seeds:
            for kind in KINDS:
                recipe = ("--recipe", config.out / f"{kind}.json")
                place = ("--out", self._place(kind, seed), "--cache", config.out / f"cache-{kind}")
                speed = ("--threads", config.threads)
                log = config.out / f"{kind}-{seed}.log"
                calls[log] = ("pretrain", *recipe, *place, "--seed", seed, *speed)
        self.steps.commands_at_once(calls, config.at_once)

    def _go_on_in_rounds(self) -> range:
        """The students of the rounds after the first, which the students of all seeds are."""
        config = self.config
        if config.rounds:
            self.steps.say("Further rounds")
            recipe = config.out / "round.json"
            plain = self._recipe("round")
            plain["train"]["seed"] = config.seeds[0]
            recipe.write_text(json.dumps(plain, indent=1) + "\n")
            place = ("--out", self.rounds, "--recipe", recipe)
            teacher = ("--teacher", self._place(STUDENT, config.seeds[0]) / "model")
            corpus = ("--corpus", self.world / "web", "--runner", config.runner)
            labels = ("--policy", config.policy, "--labels-weight", LABELS_WEIGHT)
            rounds = ("--rounds", config.rounds, "--threads", config.threads)
            self.steps.command("self-train", *place, *teacher, *corpus, *labels, *rounds)
        return range(1, config.rounds + 1)

    def _recipe(self, kind: str) -> dict[str, Any]:
        from model.files.shipped import shipped_nano

        config = self.config
        share = 0.5 if kind == CONTROL else (1 - LABELS_WEIGHT) / 2  # a round adds its labels
        gold = self.world / "gold"
        sources: list[dict[str, Any]] = [
            {"gold": f"{gold}/grounding.json", "name": "captions", "weight": share},
            {"gold": f"{gold}/detection.json", "name": "names", "weight": share},
        ]
        if kind == STUDENT:
            run = str(self.run_dir)
            labels = {"curated": run, "policy": config.policy, "name": "labels"}
            sources.append(labels | {"weight": LABELS_WEIGHT})
        return {
            "preset": "glip-nano",
            "warm_start": config.teacher or str(shipped_nano()),
            "sources": sources,
            "train": {
                "steps": config.steps,
                "batch_size": config.batch_size,
                "precision": "bf16",
                "schedule": {"kind": "cosine", "warmup_steps": max(1, config.steps // 20)},
                "optimizer": {
                    "rate": config.rate,
                    "weight_decay": 0.05,
                    "rules": [NO_DECAY, FROZEN_WORDS],
                },
            },
            "export_dtype": "float16",
        }

    def _measure(self, model: str) -> dict[str, Any]:
        from pipeline.evaluation.result import WrittenResult

        folder = self.config.out / "figures"
        name = _model_name(model, self.config.out)
        found: dict[str, Any] = {"model": name}
        for part in HELD_OUT:
            files = {}
            for kind, more in (("grounding", ()), ("detection", ("--negatives", NEGATIVES))):
                files[kind] = folder / f"{name}-{part}-{kind}.json"
                if not files[kind].exists():
                    gold = self.world / f"held-out-{part}" / f"{kind}.json"
                    place = ("--gold", gold, "--out", files[kind])
                    self.steps.command("evaluate", "--teacher", model, *place, *more)
            found[part] = _figures(*map(WrittenResult.read, files.values()))
        return found


def _model_name(model: str, out: Path) -> str:
    """`student-0`, `round-1`, or `teacher` for a model from elsewhere."""
    path = Path(model)
    if out not in path.parents:
        return "teacher"
    folders = ("model", "rounds", "student")
    return "-".join(part for part in path.relative_to(out).parts if part not in folders)


def _figures(grounding: WrittenResult, detection: WrittenResult) -> dict[str, Any]:
    found = {
        "r1": grounding.phrase_r1,
        "ap50": detection.ap50,
        "recall20": detection.any_name_r20,
    }
    return {name: asdict(figure) for name, figure in found.items() if figure is not None}
