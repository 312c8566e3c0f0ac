"""The README beside trained weights: what they are, from what, how well, and what not to expect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jobs.training.recipe import Recipe, recipe_json


def model_card(
    recipe: Recipe,
    *,
    name: str,
    num_parameters: int,
    sources: Mapping[str, Mapping[str, Any]],
    losses: Mapping[str, float],
    evaluation: Mapping[str, float],
    drops: Mapping[str, int],
    versions: Mapping[str, str],
) -> str:
    """Markdown with the front matter that model hubs read.

    Args:
        recipe: Of the run.
        name: Title.
        num_parameters: Of the network.
        sources: For each source its `kind`, `samples`, `fingerprint` and import `counts`.
        losses: Parts of the last step's loss.
        evaluation: Figures of the last evaluation; may be empty.
        drops: Boxes and spans that training left out, by reason.
        versions: Packages that the weights were made with.
    """
    train = recipe.train
    lines = [
        "---",
        "library_name: glipforge",
        "pipeline_tag: zero-shot-object-detection",
        "tags: [grounding, phrase-grounding, glip, object-detection]",
        "---",
        f"# {name}",
        "",
        f"A GLIP of the preset `{recipe.preset}`, {num_parameters / 1e6:.1f} M parameters, trained "
        f"for {train.steps} steps of {train.batch_size} images (seed {train.seed}).",
        _start(recipe),
        "",
        "## Data",
        "",
        "| source | shown as | samples | share | fingerprint |",
        "|---|---|---|---|---|",
    ]
    total = sum(float(source["share"]) for source in sources.values())
    for label, source in sources.items():
        share = float(source["share"]) / total
        lines.append(
            f"| {label} | {source['kind']} | {source['samples']} | {share:.1%} | "
            f"`{source['fingerprint']}` |"
        )
    lines += ["", "Left out when the sources were read:", ""]
    lines += _counts(
        {
            f"{label}: {reason}": count
            for label, source in sources.items()
            for reason, count in source["counts"].items()
            if reason.startswith("dropped")
        }
    )
    lines += ["", "Left out while training (over all epochs):", "", *_counts(drops)]
    lines += ["", "## Figures", ""]
    lines += _figures("last loss", losses)
    lines += (
        _figures("evaluation", evaluation)
        if evaluation
        else ["No evaluation ran with this training; nothing is known about its quality."]
    )
    lines += [
        "",
        "## Recipe",
        "",
        "`glipforge pretrain --recipe recipe.json` with:",
        "",
        "```json",
        json.dumps(recipe_json(recipe), indent=1),
        "```",
        "",
        "Made with " + ", ".join(f"{package} {v}" for package, v in versions.items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _start(recipe: Recipe) -> str:
    if recipe.warm_start:
        return f"It started from the weights of `{recipe.warm_start}`."
    return "It started from random weights."


def _counts(counts: Mapping[str, int]) -> list[str]:
    return [f"- {reason}: {count}" for reason, count in sorted(counts.items())] or ["- nothing"]


def _figures(title: str, values: Mapping[str, float]) -> list[str]:
    return [f"- {title} {name}: {value:.4f}" for name, value in values.items()]
