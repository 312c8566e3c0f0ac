"""List the models that can teach: presets, published files and their numbers; fetch one by name."""

from __future__ import annotations

import json
from dataclasses import dataclass

from schemas.errors import ConfigError

EXAMPLES = ("glipforge models --json",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge models`."""

    json: bool = False
    """Print JSON instead of tables."""
    fetch: str | None = None
    """Fetch and convert a published model now (glip-t-a, glip-t-b, glip-t-c, glip-t, glip-l), or
    fetch owner/name of the Hugging Face hub. `--teacher NAME` does the same when it is used."""


_BACKBONES = {"glip-t-a": "Swin-T", "glip-t": "Swin-T", "glip-l": "Swin-L", "glip-nano": "ResNet"}


def run(config: Config) -> int:
    """Print the list, or fetch."""
    if config.fetch is not None:
        return _fetch(config.fetch)
    from model.config import PRESETS
    from model.files.published import HUB_MIRRORS, NUM_PARAMETERS, PUBLISHED
    from model.teacher.detectors.kinds import KINDS

    presets = {name: PRESETS[name]() for name in NUM_PARAMETERS}
    if config.json:
        print(
            json.dumps(
                {
                    "presets": [
                        {"parameters": NUM_PARAMETERS[name], **preset.to_dict()}
                        for name, preset in presets.items()
                    ],
                    "published": [model._asdict() for model in PUBLISHED],
                    "unverified_hub_ids": list(HUB_MIRRORS),
                },
                indent=1,
            )
        )
        return 0
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("preset", "parameters", "weights", "backbone", "tower", "input", title="presets")
    for name, preset in presets.items():
        table.add_row(
            name,
            f"{NUM_PARAMETERS[name] / 1e6:.1f} M",
            f"{4 * NUM_PARAMETERS[name] / 1e9:.2f} GB",
            _BACKBONES.get(name, preset.backbone),
            f"{preset.num_layers} {'fused' if preset.early_fusion else 'not fused'}",
            f"{preset.min_size} x {preset.max_size}",
        )
    console.print(table)
    console.print(
        "A teacher needs its weights' memory and about 0.8 GB more on a CPU; training four times "
        "the weights and what a batch holds.\n"
        "glip-nano is shipped with this package; the others are fetched and converted by name "
        "(--teacher NAME, or glipforge models --fetch NAME ahead of time), or by hand:\n"
        "  glipforge convert FILE --preset PRESET --out DIRECTORY\n"
        "Detectors of transformers teach as well, as a directory or a hub id: "
        f"{', '.join(f'{kind.name} ({kind.model_type})' for kind in KINDS.values())}; see "
        "docs/teachers.md.\n",
        markup=False,
    )
    table = Table(title="published checkpoints")
    table.add_column("name and file", overflow="fold")
    for column in ("COCO", "tuned", "LVIS", "ODinW"):
        table.add_column(column, justify="right")
    for model in PUBLISHED:
        table.add_row(
            f"{model.key}\n  {model.file}\n  {model.name}, preset {model.preset}\n  {model.data}",
            f"{model.coco_zero_shot}",
            f"{model.coco_fine_tuned}",
            f"{model.lvis_minival_last or '-'} / {model.lvis_minival_best}",
            f"{model.odinw_13}",
        )
    console.print(table)
    console.print(
        "AP as their authors report it: COCO zero-shot and fine-tuned, LVIS minival with the last "
        "and the best weights, the mean of 13 ODinW sets. None was measured here. Hub ids that "
        f"are named for these files, not verified: {', '.join(HUB_MIRRORS)}.\n"
        "Before a fetch its size is said, as the hub states it; converted it takes what the column "
        "weights says, in GLIPFORGE_CACHE (~/.cache/glipforge). Of licences this project knows "
        "that GLIP's code is MIT; what the weights and their data allow, their pages must "
        "say.",
        markup=False,
    )
    return 0


def _fetch(name: str) -> int:
    from model.files.by_name import NAMES, SOURCE_NAME
    from model.files.source import resolve_source
    from model.teacher.detectors.kinds import model_type

    if name not in NAMES and "/" not in name:
        raise ConfigError(
            f"fetch must be one of {', '.join(NAMES)}, or owner/name of the hub, got {name!r}"
        )
    directory = resolve_source(name, accepts=model_type)
    source = directory / SOURCE_NAME
    if source.is_file():
        found = json.loads(source.read_text(encoding="utf-8"))
        print(f"{name}: {found['file']} of {found['from']}, sha256 {found['sha256']}")
    print(f"{name} is in {directory}; use it with --teacher {name}")
    return 0
