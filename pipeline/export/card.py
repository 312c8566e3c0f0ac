"""The data set card: what is in an export, who labelled it, how, and what is known about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline.export.categories import Categories
from pipeline.export.options import ExportSummary
from pipeline.export.publication import Publication
from schemas.redaction import one_line, yaml_string

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
_SIZES += ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # type: ignore[assignment]
_MOST = "n>1B"


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the records do not say."""

    made_with: str
    """Program and version."""
    corpora: tuple[str, ...] = ()
    """Names of what was labelled."""
    license: str = ""
    """Of the images, as their owner states it."""
    precision: tuple[str, ...] = ()
    """Sentences about calibrated precision."""
    policies: tuple[dict[str, Any], ...] = ()
    """The rules of each policy that chose boxes."""


def write_card(
    published: Publication, summary: ExportSummary, categories: Categories, facts: CardFacts
) -> None:
    """README.md of a folder; of a file export `<name>.README.md` beside it."""
    name = "README.md"
    if not published.is_folder:
        name = f"{published.out.rpartition('/')[2].rpartition('.')[0]}.README.md"
    text = card_text(summary, categories, facts)
    published.file(name).write_text(text, encoding="utf-8")


def card_text(summary: ExportSummary, categories: Categories, facts: CardFacts) -> str:
    """Markdown with a YAML head, as the hub reads it."""
    parts = [
        "---",
        *_head(summary, categories, facts),
        "---",
        "",
        f"# Grounded labels ({summary.format})",
        "",
        f"{summary.records:,} image-caption pairs with {summary.boxes:,} boxes, "
        f"{summary.spans:,} links of a box to a phrase and {summary.negatives:,} phrases that are "
        f"known to have no box; {summary.empty:,} pairs without a box.",
        "",
        *_table("split", "pairs", {key or "all": n for key, n in summary.split_pairs.items()}),
        *_table("origin of boxes", "boxes", summary.origins),
        "## How it was made",
        "",
        f"With {facts.made_with}"
        + (f" from {', '.join(map(one_line, facts.corpora))}" if facts.corpora else "")
        + ". A teacher finds boxes for the noun phrases of a caption; a policy chooses among them; "
        "boxes of origin `human` were drawn or moved by a person, those of origin `gold` come from "
        "a data set that people labelled.",
        "",
        *_table("labelled by", "pairs", summary.teachers),
        *_table("policy", "pairs", summary.policies),
    ]
    if summary.captions_made:
        parts += [
            f"The captions of {summary.captions_made:,} pairs were made by a captioner, not by a "
            "person; in JSON formats they are marked `caption_origin: made`.",
            "",
        ]
    for policy in facts.policies:
        rules = json.dumps(policy, indent=1, ensure_ascii=False, sort_keys=True)
        parts += ["```json", rules, "```", ""]
    parts += ["## How right the labels are", ""]
    parts += [*(facts.precision or ("No precision was measured for this policy.",)), ""]
    parts += ["## Licence of the images", ""]
    parts += [facts.license or "Not known: it is that of the corpus.", ""]
    if summary.licenses:
        unknown = summary.records - summary.licenses.total()
        stated = [*summary.licenses.most_common(), *([("not stated", unknown)] if unknown else [])]
        parts += _table("licence of the image", "pairs", dict(stated))
    if summary.left_out:
        parts += _table("left out", "number", summary.left_out)
    if summary.notes:
        parts += [
            "## Notes for readers",
            "",
            *(f"- {one_line(note)}" for note in summary.notes),
            "",
        ]
    return "\n".join(parts)


def _head(summary: ExportSummary, categories: Categories, facts: CardFacts) -> list[str]:
    size = next((name for limit, name in _SIZES if summary.records < limit), _MOST)
    lines = [f"license: {yaml_string(facts.license or 'unknown')}"]
    lines += ["task_categories:", "- object-detection", "- zero-shot-object-detection"]
    lines += ["tags:", "- grounding", "- phrase-grounding", f"- {summary.format}"]
    lines += ["size_categories:", f"- {yaml_string(size)}"]
    if summary.format == "hf":
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split in summary.split_pairs or {"": 0}:
            name = split or "train"
            lines += [f"  - split: {name}", f"    path: data/{name}-*.parquet"]
    if summary.format == "hf-imagefolder" and categories.mode != "head":
        lines += ["glipforge:", "  class_label:", "    names:"]
        lines += [
            f"      '{place}': {yaml_string(name)}" for place, name in enumerate(categories.names)
        ]
    return lines


def _table(label: str, value: str, rows: Any) -> list[str]:
    if not rows:
        return []
    cells = [
        f"| {one_line(str(key)).replace('|', '/')} | {number:,} |" for key, number in rows.items()
    ]
    return [f"| {label} | {value} |", "|---|---|", *cells, ""]
