"""Label a corpus: a teacher finds a box for each noun phrase of each caption, on Ray workers.

The run is its output directory: the same command continues it after any stop, and nothing is
labelled twice. A pair that cannot be used becomes a row with a status and a reason.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field, replace
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from jobs.arguments import Corpora, Model, Run
from jobs.labelling.class_words import how_it_was_read, not_asked
from jobs.labelling.gate import NO_GATE, Gate, leaves_no_folder, pass_gate
from jobs.labelling.progress import LabelProgress, TooManyFailures, describe_failures
from jobs.labelling.running import Running, run_units, statuses_to_retry
from jobs.labelling.setup import LabelSetup, TeacherSetup
from jobs.termination import sigterm_as_interrupt
from model.teacher.options import TeacherOptions
from pipeline.corpus.options import CorpusOptions
from pipeline.images.decode import ImageLimits
from pipeline.labelling.pairs import PairLimits
from pipeline.phrases.class_list import ClassList, planned_classes
from pipeline.phrases.extract import PhraseOptions
from schemas.errors import ConfigError
from schemas.redaction import shown

if TYPE_CHECKING:
    from jobs.labelling.setup import Corpus as CorpusReader
    from pipeline.run.store import RunStore
    from schemas.plan import Plan, Unit


EXAMPLES = (
    "glipforge label --corpus photos --out runs/1 --teacher glip-t --runner local",
    "glipforge label --corpus photos --out runs/1 --teacher glip-t --dry-run 100",
    'glipforge label --corpus photos --out runs/2 --names "cat, dog, fire hydrant"',
    "glipforge label --corpus photos --out runs/3 --captions captions",
    "glipforge label --corpus photos --out runs/3 --require-precision 0.8 --audit-gold val.json",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge label`."""

    corpus: Corpora = ()
    """A file, a folder, a pattern (`shards/{000..099}.tar`, `*.parquet`) or a URL of these. Given
    again, it names one more: all are one run."""
    out: Run
    """The run: a folder, or a URL such as s3://bucket/runs/1. One that is there is continued."""
    teacher: Model = None
    """A model directory, the name of a published model (glip-t), or a hub id; several with commas
    are an ensemble. The shipped glip-nano if not given. See docs/teachers.md."""
    names: Annotated[str | None, tyro.conf.arg(metavar="NAMES")] = None
    """Look for these classes in every image, instead of its caption's phrases: "cat, dog", with
    wordings and what it must not be "person: person, man; helmet: -cap", or @FILE, a class a line.
    """
    captions_for: Literal["missing", "all"] = "missing"
    """With --captions FOLDER: the captions made go to images without one, or to all."""
    dry_run: int = 0
    """Write no run: label so many records drawn at random, tell speed, hours and disk for the whole
    corpus, and save three pictures in OUT-dry-run. 0: label."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    records_per_unit: int = 0
    """Pairs that are committed together: what a crash costs at most, for each worker. 0: about a
    minute of work, at most 512, and at least two units for each worker."""
    reading: tyro.conf.OmitArgPrefixes[CorpusOptions] = field(default_factory=CorpusOptions)
    """How the corpus is read."""
    asking: tyro.conf.OmitArgPrefixes[TeacherOptions] = field(default_factory=TeacherOptions)
    """How the teacher is asked."""
    phrases: PhraseOptions = field(default_factory=PhraseOptions)
    """How captions are cut into phrases."""
    images: ImageLimits = field(default_factory=ImageLimits)
    """Which images are used."""
    running: tyro.conf.OmitArgPrefixes[Running] = field(default_factory=Running)
    """Where and how fast."""
    gate: tyro.conf.OmitArgPrefixes[Gate] = NO_GATE
    """What gold must show of the teacher before it labels."""


def run(config: Config) -> int:
    """Label what is not labelled yet; returns 0, or 1 if units or too many of the rows failed."""
    from model.training.memory import share_one_arena

    labels_here = config.running.runner == "local" or config.dry_run
    if labels_here and config.device in ("auto", "cpu"):
        share_one_arena()  # before the threads of what is imported and opened below
    from jobs.ray_session import in_ray_job, require_absolute
    from pipeline.storage.files import is_local, local_path

    if not config.corpus:
        raise ConfigError("--corpus is missing: name a file, a folder, a pattern or a URL")
    for name, path in (("out", config.out), *(("corpus", uri) for uri in config.corpus)):
        require_absolute(name, path)
    if in_ray_job() and config.running.runner == "local":
        print("glipforge label: --runner local in a Ray job: one process works", file=sys.stderr)
    classes = None if config.names is None else ClassList.parse(config.names)
    list_chars = len(classes.caption) if classes else 0
    for line in how_it_was_read(classes) if classes else ():
        print(line)
    setup = TeacherSetup(
        corpora=tuple(local_path(uri) if is_local(uri) else uri for uri in config.corpus),
        corpus_options=config.reading,
        teacher=config.teacher,
        device=config.device,
        options=config.asking,
        phrase_options=config.phrases,
        limits=PairLimits(
            image=config.images,
            max_caption_chars=max(config.reading.max_caption_chars, list_chars),
        ),
        captions_for=config.captions_for,
        classes=classes,
    )
    if labels_here:
        from model.teacher.load import torch_device

        torch_device(config.device)  # refused before anything is written
    if config.dry_run:
        from jobs.labelling.dry_run import dry_run

        return dry_run(setup, config.out, config.dry_run, config.running.cpus_per_worker)
    return label(setup, config.out, config.records_per_unit, config.running, config.gate)


def label(
    setup: LabelSetup, out: str, records_per_unit: int, running: Running, gate: Gate = NO_GATE
) -> int:
    """The labelling itself, for any setup; see `run`. SIGTERM ends it as Ctrl-C does.

    Raises:
        ConfigError: a wrong corpus, teacher, output or plan; nothing was labelled.
        TeacherRefused: gold does not show what the gate asks for; nothing was labelled.
    """
    with sigterm_as_interrupt():
        return _label(setup, out, records_per_unit, running, gate)


def _label(setup: LabelSetup, out: str, records_per_unit: int, running: Running, gate: Gate) -> int:
    from jobs.labelling.retry import units_to_retry
    from jobs.labelling.start_info import write_start
    from jobs.labelling.unit_size import choose_units, likely_workers
    from jobs.labelling.unseen import tell_what_it_never_saw
    from jobs.labelling.worker import WorkerSpec
    from pipeline.run.info import read_run_info
    from pipeline.run.lock import run_lock
    from pipeline.run.object_lock import LockLost
    from pipeline.run.relocation import write_relocated
    from pipeline.run.store import RunStore

    corpus = setup.open_corpus()
    print(f"corpus   {corpus.uri} ({corpus.format}) {getattr(corpus, 'explanation', '')}".rstrip())
    role = getattr(setup, "role", "teacher")
    print(f"{role:<8} {setup.teacher_id()}")
    store = RunStore(out)
    units, records_per_unit = choose_units(
        corpus,
        setup,
        store,
        workers=likely_workers(running.runner, running.workers),
        chosen=records_per_unit,
    )
    if not units:
        raise ConfigError(f"corpus {corpus.uri!r} holds no records")
    tell_what_it_never_saw(setup, corpus, units[0])
    plan = make_plan(setup, corpus, units)
    with leaves_no_folder(out):
        _require_writable(store)
        gate_said = pass_gate(gate, setup, running, read_run_info(store).gate)
    with run_lock(store) as require_held:
        plan, moved = write_relocated(store, plan, running.relocate)
        recovery = store.recover(verify=running.verify)
        for unit_id in recovery.withdrawn:
            print(f"unit {unit_id}: its data is missing or torn, it is done again")
        again = units_to_retry(store, statuses_to_retry(running.retry_failed))
        left = store.pending()
        pending = [moved.get(unit.unit_id, unit) for unit in (*left, *again)]
        number = f"{len(plan.units):,} unit{'s' * (len(plan.units) != 1)}"
        print(f"plan     {number}, {len(pending):,} to do, in {store.uri}")
        progress = LabelProgress(
            units=pending,
            max_failure_rate=running.max_failure_rate,
            require_held=require_held,
        )
        failed: dict[str, str] = {}
        note = ""
        try:
            if pending:
                write_start(store, setup, running, records_per_unit, gate_said)
                spec = WorkerSpec(
                    run=store.uri,
                    setup=setup,
                    corpus=corpus,
                    plan_id=store.plan_id(),
                    config={name: plan.config[name] for name in ("teacher", "phrases")},
                    call_size=running.call_size,
                    decode_threads=running.decode_threads,
                    retry=statuses_to_retry(running.retry_failed),
                )
                failed = run_units(store, spec, pending, progress, running)
        except (KeyboardInterrupt, TooManyFailures, LockLost) as stop:
            note = "given up" if isinstance(stop, TooManyFailures) else "stopped"
            raise
        finally:
            if pending:
                progress.tell(now=True)
            if note:
                # The markers: workers commit units of which the driver does not hear any more.
                committed = len(left) - len(store.pending())
                print(
                    f"{note}: {committed:,} units committed since the start; the same command "
                    "goes on",
                    file=sys.stderr,
                )
        store.forget_commits()
        return _finish(store, plan, failed, running.max_failure_rate, setup)


def make_plan(setup: LabelSetup, corpus: CorpusReader, units: tuple[Unit, ...]) -> Plan:
    """Everything that decides the rows, and the units."""
    from schemas.plan import Plan

    limits = asdict(setup.limits)
    return Plan(
        corpus=corpus.uri,
        corpus_format=corpus.format,
        inputs=corpus.inputs(),
        units=units,
        config={
            **setup.fingerprint(),
            "limits": {"image": limits["image"], "max_caption_chars": limits["max_caption_chars"]},
            "corpus": dict(corpus.fingerprint()),
        },
    )


def _require_writable(store: RunStore) -> None:
    from pipeline.run.info import require_writable

    if store.is_local and os.path.isfile(store.uri):
        raise ConfigError(f"out: {store.uri!r} is a file; give a folder")
    require_writable(store)


def _finish(
    store: RunStore,
    plan: Plan,
    failed: dict[str, str],
    max_failure_rate: float,
    setup: LabelSetup,
) -> int:
    from jobs.commands.label.status import print_status
    from pipeline.run.status import read_status

    name = getattr(setup, "command", "label")
    complete = store.finalize()
    found = read_status(store)
    print_status(replace(found, driver=None))  # which is this process, at its end
    for unit_id, reason in failed.items():
        print(f"glipforge {name}: unit {unit_id} failed: {shown(reason)}", file=sys.stderr)
    if not complete:
        left = len(plan.units) - len(store.commits())
        print(
            f"glipforge {name}: {left:,} of {len(plan.units):,} units are not done; the same "
            "command tries them again",
            file=sys.stderr,
        )
        return 1
    if hopeless := describe_failures(found.statuses, max_failure_rate):
        print(
            f"glipforge {name}: {hopeless}. The run is complete; a higher --max-failure-rate "
            "accepts it",
            file=sys.stderr,
        )
        return 1
    if planned_classes(plan.config):
        for line in not_asked(store.iter_annotations()):
            print(line)
    after = getattr(setup, "next_step", lambda out: f"glipforge filter {out}")
    print(f"next: {after(quote(store.uri))}")
    return 0
