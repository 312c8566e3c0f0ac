"""The gate before a labelling: a teacher that is not precise enough on gold labels nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.arguments import DirName, FileName
from jobs.labelling.running import Running, worker_needs
from pipeline.storage.files import is_local, local_path
from schemas.errors import ConfigError, GlipforgeError

if TYPE_CHECKING:
    from jobs.labelling.setup import LabelSetup
    from pipeline.curation.rules.policy import FilterPolicy
    from pipeline.evaluation.teacher_precision import TeacherPrecision
    from pipeline.gold.gold_set import GoldSet


class TeacherRefused(GlipforgeError):
    """Gold does not show the precision that was asked for; nothing was labelled."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What gold must show of a teacher before it labels."""

    require_precision: float = 0.0
    """Label only if at least this share of the teacher's labels on --audit-gold is right, with the
    low end of the interval. 0: label anyhow. Told once; the same run that goes on is not asked."""
    audit_gold: FileName = ""
    """Gold boxes for --require-precision: a COCO, LVIS, GoldG or ODVG file, or a Flickr30k Entities
    directory."""
    audit_image_root: DirName = ""
    """Where the file names of --audit-gold start; beside the file if not given."""
    audit_policy: str = "recommended"
    """Whose labels are judged: a policy as `glipforge filter` takes it; `recommended`: the default
    rules above the score that the teacher recommends."""
    audit_images: int = 500
    """Gold images that the teacher is asked about, evenly spread; 0: all."""

    def __post_init__(self) -> None:
        if not 0 <= self.require_precision < 1:
            raise ConfigError(
                f"require_precision must be at least 0 and below 1, got {self.require_precision}"
            )
        if self.audit_images < 0:
            raise ConfigError(f"audit_images must be 0 or more, got {self.audit_images}")
        if bool(self.require_precision) != bool(self.audit_gold):
            raise ConfigError(
                "require_precision and audit_gold go together: the precision that gold must show, "
                f"and the gold; got {self.require_precision} and {self.audit_gold!r}"
            )


NO_GATE = Gate()


@contextmanager
def leaves_no_folder(out: str) -> Iterator[None]:
    """Folders on the way to `out` that are made in the block go again where it fails."""
    folder, made = Path(local_path(out)) if is_local(out) else None, []
    while folder is not None and not os.path.exists(folder):
        made.append(folder)
        folder = folder.parent
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another may have begun to write there
            for folder in made:
                folder.rmdir()
        raise


def pass_gate(
    gate: Gate, setup: LabelSetup, running: Running, before: Mapping[str, Any]
) -> dict[str, Any]:
    """Ask the teacher about gold, and say what it says.

    Args:
        gate: what must be shown; without a precision nothing is asked.
        setup: brings the teacher.
        running: with Ray it is asked on a worker, where its GPU is.
        before: what an earlier start of this run found; the same question is not asked again.

    Returns:
        What was found, for run.json; empty where nothing is required.

    Raises:
        TeacherRefused: gold does not show it.
        ConfigError: gold or the policy cannot be used.
    """
    if not gate.require_precision:
        return {}
    from pipeline.curation.recommended import for_classes, with_scores
    from pipeline.gold import load_gold

    scores = getattr(setup, "scores", lambda: None)()
    policy = with_scores(gate.audit_policy, scores, whose=f"teacher {setup.teacher_id()}")
    if getattr(setup, "classes", None) is not None:
        policy = for_classes(policy)
    asked = {
        "teacher": dict(setup.fingerprint()["teacher"]),
        "gold": gate.audit_gold,
        "policy": policy.policy_id,
        "images": gate.audit_images,
    }
    found = dict(before)
    if before.get("asked") != asked:
        gold = load_gold(gate.audit_gold, "auto", image_root=gate.audit_image_root)
        measured = _measure(setup, gold, policy, gate.audit_images, running)
        found = {"asked": asked, **asdict(measured), "says": measured.sentence()}
        if not measured.labels:  # JSON has no NaN
            found["precision"] = None
    _judge(found, gate.require_precision)
    print(f"gate     {found['says']}: at least {gate.require_precision:g}")
    return found


def _judge(found: dict[str, Any], wanted: float) -> None:
    if found["low"] >= wanted:
        return
    if found["precision"] is None:
        why = "gold says nothing about it; take gold with the phrases or classes of the corpus"
    elif found["high"] < wanted:
        why = "it is worse; take another teacher, or a stricter --audit-policy"
    else:
        could = math.floor(found["low"] * 1000) / 1000
        why = (
            "the interval begins below that; "
            f"{f'require {could:g} at most, or take' if could else 'take'} more gold images, which "
            "narrow it"
        )
    raise TeacherRefused(
        f"require_precision {wanted:g}: teacher {found['teacher_id']} has {found['says']}: {why}. "
        "Nothing was labelled"
    )


def _measure(
    setup: LabelSetup, gold: GoldSet, policy: FilterPolicy, images: int, running: Running
) -> TeacherPrecision:
    if running.runner == "local":
        return _ask(setup, gold, policy, images)
    import ray

    from jobs.ray_session import ray_session

    with ray_session():
        needs, _ = worker_needs(running, setup)
        # A process of its own: the driver of days keeps no network in memory.
        task = ray.remote(max_calls=1, num_cpus=needs.num_cpus, num_gpus=needs.num_gpus)(_ask)
        try:
            return ray.get(task.remote(setup, gold, policy, images))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error  # the same error as without Ray


def _ask(setup: LabelSetup, gold: GoldSet, policy: FilterPolicy, images: int) -> TeacherPrecision:
    from jobs.progress_bar import reading_bar
    from pipeline.evaluation.teacher_precision import teacher_precision

    with reading_bar("ask about gold", min(images or len(gold.samples), len(gold.samples))) as tell:
        return teacher_precision(
            setup.load().grounder,
            gold,
            policy,
            classes=getattr(setup, "classes", None),
            limit=images,
            progress=tell,
        )
