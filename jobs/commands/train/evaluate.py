"""Measure a teacher, the labels of a run, or any detections, against gold boxes.

Every figure has a 95 % interval (bootstrap over images) and, where chance has a meaning, its floor:
what a perfect localiser gets that gives boxes to phrases at random.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from jobs.arguments import DirName, FileName, MaybeFile, Model
from schemas.errors import ConfigError, DataError
from schemas.gold_format import GoldFormat

if TYPE_CHECKING:
    from model.teacher.load import AnyTeacher
    from pipeline.evaluation.result import EvaluationResult
    from pipeline.gold import GoldSet


EXAMPLES = (
    "glipforge evaluate --teacher glip-t --gold instances_val.json --limit 500",
    "glipforge evaluate --detections results.json --gold instances_val.json",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge evaluate`. Give one of --teacher, --run and --detections."""

    gold: FileName = ""
    """Gold boxes: a COCO, LVIS, MDETR/GoldG or ODVG file, a directory of Flickr30k Entities or
    RefCOCO, an image folder whose metadata lists boxes, or another format of --gold-format."""
    teacher: Model = None
    """Run this model directory or hub id on the gold images; `shipped`: the shipped glip-nano."""
    run: Annotated[str | None, tyro.conf.arg(metavar="RUN")] = None
    """Judge the stored labels of this run; no model runs."""
    detections: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Judge a COCO results file (a JSON list of image_id, category_id, bbox and score), of any
    program, on COCO or LVIS gold."""
    suite: FileName = ""
    """--teacher, in place of --gold: a YAML or JSON file of many gold sets, each with its own
    prompts (docs/evaluation.md), as for ODinW; the table has a line a set and the mean."""
    gold_format: GoldFormat = "auto"
    """Format of the gold data."""
    image_root: DirName = ""
    """Where the file names of the gold data start; beside the file if not given."""
    split: FileName = ""
    """One split alone: refcoco and yolo its name (val, testA); flickr30k and voc a list of ids in
    the directory, e.g. val.txt."""
    label_map: FileName = ""
    """odvg detection rows: the JSON of category names."""
    policy: str = "default"
    """--run: whose labels are judged for precision; recall takes all candidates."""
    synonyms: FileName = ""
    """--run, detection gold: a JSON or YAML file of other words for categories, {"person":
    ["woman"]}, in place of the built-in table for COCO's names; `none`: names only."""
    limit: int = 0
    """--teacher: take so many images, evenly spread; 0: all."""
    negatives: int = -1
    """--teacher, detection gold: ask for the image's own categories and so many others, drawn at
    random; -1: ask for all. Figures rise when less is asked."""
    nouns: int = 10
    """--run: lines of the table of nouns with the most wrong labels; the JSON has all nouns."""
    max_names: int = 0
    """--teacher, detection gold: names per prompt; 0: as many as fit (the reference takes 40 for
    LVIS)."""
    tiles: str = "1x1"
    """--teacher: ask about the image and about so many tiles across and down, e.g. 2x2."""
    tile_overlap: float = 0.2
    """Share of a tile that it has in common with the next one."""
    seed: int = 0
    """Of the drawn negatives."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    """Of the network's arithmetic; auto: bfloat16 where it is faster and finds the same."""
    batch_size: int = 8
    """Images in one forward."""
    errors: MaybeFile = None
    """--detections: write a page (.html) of the images with the worst errors, as pictures."""
    num_errors: int = 50
    """--errors: so many images."""
    out: MaybeFile = None
    """Write the figures as JSON."""
    json: bool = False
    """Print JSON instead of a table."""


def run(config: Config) -> int:
    """Evaluate; returns 0."""
    from jobs.figures_table import print_figures
    from pipeline.evaluation.results_file import detections_figures
    from pipeline.gold import load_gold

    given = [name for name in ("teacher", "run", "detections") if getattr(config, name) is not None]
    if len(given) != 1:
        raise ConfigError(
            "give one of --teacher, --run and --detections, got "
            f"{' and '.join(f'--{name}' for name in given) or 'none of them'}"
        )
    for name, value, least in (
        ("negatives", config.negatives, -1),
        ("limit", config.limit, 0),
        ("nouns", config.nouns, 0),
        ("num_errors", config.num_errors, 1),
    ):
        if value < least:
            raise ConfigError(f"{name} must be {least} or more, got {value}")
    if config.errors is not None and config.detections is None:
        raise ConfigError("errors must go with --detections")
    if config.suite:
        return _suite(config)
    if not config.gold:
        raise ConfigError("--gold must be given, or --suite with --teacher")
    gold = load_gold(
        config.gold,
        config.gold_format,
        image_root=config.image_root,
        split=config.split,
        label_map=config.label_map,
        sizes=config.detections is None or config.errors is not None,
    )
    if config.run is not None:
        result = _of_run(config.run, config.policy, gold, config.synonyms)
    elif config.detections is not None:
        result = detections_figures(config.detections, gold)
        if config.errors is not None:
            _write_errors(config.detections, gold, config.errors, config.num_errors)
    else:
        result = _of_teacher(config, _load(config), gold, {})
    _write(config, result.to_dict())
    if not config.json:
        print_figures(result, nouns=config.nouns, out=config.out)
        if config.errors is not None:
            print(f"written {config.errors}")
    return 0


def _of_run(uri: str, policy_name: str, gold: GoldSet, synonyms: str) -> EvaluationResult:
    from jobs.progress_bar import reading_bar
    from pipeline.curation.curate import ensure_curated, iter_curated
    from pipeline.curation.recommended import policy_for
    from pipeline.evaluation.run_figures import run_figures
    from pipeline.evaluation.synonyms import BUILT_IN, read_synonyms
    from pipeline.run.open import open_run

    if synonyms in ("", "none"):
        words = {} if synonyms else BUILT_IN
    else:
        words = read_synonyms(synonyms)
    labelled = open_run(uri)
    policy = policy_for(labelled, policy_name)
    with reading_bar("curate", labelled.num_records()) as progress:
        ensure_curated(labelled, policy, progress=progress)
    return run_figures(
        uri,
        gold,
        labelled.iter_annotations(),
        iter_curated(labelled, policy.policy_id),
        policy.policy_id,
        words,
    )


def _suite(config: Config) -> int:
    """Measure a teacher on each set; a set that cannot be measured is named, the others go on."""
    from jobs.figures_table import print_suite
    from pipeline.evaluation.suites.suite import SuiteResult, load_set, read_suite

    if config.teacher is None or config.gold:
        raise ConfigError("suite must go with --teacher, and without --gold: its file names them")
    found = SuiteResult()
    teachers: dict[int, AnyTeacher] = {}
    for one in read_suite(config.suite).sets:
        own = replace(
            config,
            limit=config.limit if one.limit is None else one.limit,
            max_names=one.max_names or config.max_names,
        )
        if own.max_names not in teachers:
            teachers = {own.max_names: _load(own)}
        try:
            gold = load_set(one)
            result = _of_teacher(own, teachers[own.max_names], gold, one.wordings())
        except (ConfigError, DataError) as error:
            found.failed[one.name] = str(error)
            continue
        found.subject = result.subject
        found.results[one.name] = result
    _write(config, found.to_dict())
    if not config.json:
        print_suite(found, out=config.out)
    return 1 if found.failed else 0


def _write_errors(results: str, gold: GoldSet, page: Path, number: int) -> None:
    from pipeline.evaluation.results_file import load_results
    from pipeline.evaluation.suites.worst_errors import errors_page

    detected, _ = load_results(results, gold)
    text = errors_page(gold, detected, f"Errors of {Path(results).name}", number)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _write(config: Config, figures: dict[str, Any]) -> None:
    text = json_module.dumps(figures, indent=1, sort_keys=True, ensure_ascii=False)
    if config.out is not None:
        config.out.parent.mkdir(parents=True, exist_ok=True)
        config.out.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    if config.json:
        print(text)


def _of_teacher(
    config: Config, teacher: AnyTeacher, gold: GoldSet, prompts: Mapping[str, str]
) -> EvaluationResult:
    from jobs.progress_bar import reading_bar
    from pipeline.evaluation.teacher import TeacherQuestions, teacher_figures

    questions = TeacherQuestions(
        limit=config.limit,
        negatives=config.negatives,
        seed=config.seed,
        batch_size=config.batch_size,
        prompts=prompts,
    )
    total = min(config.limit or len(gold.samples), len(gold.samples))
    with reading_bar("evaluate", total) as progress:
        result = teacher_figures(teacher, gold, questions, progress)
    if teacher.note:
        result.notes.append(teacher.note)
    return result


def _load(config: Config) -> AnyTeacher:
    from model.teacher.load import load_teacher
    from model.teacher.options import TeacherOptions

    return load_teacher(
        config.teacher,
        device=config.device,
        options=TeacherOptions(
            score_floor=0.0,
            max_boxes_per_phrase=100,
            max_names=config.max_names,
            tiles=config.tiles,
            tile_overlap=config.tile_overlap,
            precision=config.precision,
            batch_size=config.batch_size,
        ),
    )
