"""LVIS's evaluation and the limit of the fixed AP, written from their published rules in plain
loops: the judge of `pipeline/evaluation`, which goes another way through pycocotools."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"": (0, 1e10), " small": (0, 32**2), " medium": (32**2, 96**2), " large": (96**2, 1e10)}


def fixed_limit(number: int) -> Callable[[Rows], Rows]:
    """The best of each category over all images (Dave et al. 2021), before anything is judged."""
    return lambda rows: _best_by(rows, "category_id", number)


def image_limit(number: int) -> Callable[[Rows], Rows]:
    """The best of each image, all categories together (the lvis package: 300)."""
    return lambda rows: _best_by(rows, "image_id", number)


def _best_by(rows: Rows, key: str, number: int) -> Rows:
    groups = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    ordered = (sorted(group, key=lambda row: -row["score"]) for group in groups.values())
    return [row for group in ordered for row in group[:number]]


def lvis_reference(gold: dict[str, Any], rows: Rows) -> dict[str, float]:
    """AP and AR by their names; NaN where there is no gold box."""
    categories = sorted(gold["categories"], key=lambda c: c["id"])
    ap, ar = {}, {}
    for category in categories:
        for area, bounds in AREAS.items():
            measured = _category(gold, rows, category["id"], bounds)
            if measured is not None:
                ap[category["id"], area], ar[category["id"], area] = measured

    def mean(values: list[Any]) -> float:
        return float(np.mean(values)) if values else float("nan")

    def of(area: str = "", frequency: str = "rcf") -> list[Any]:
        known = [c["id"] for c in categories if c["frequency"] in frequency]
        return [ap[c, area] for c in known if (c, area) in ap]

    found = {"AP": mean(of()), "AP50": mean([one[0] for one in of()])}
    found["AP75"] = mean([one[5] for one in of()])
    found |= {f"AP{area}": mean(of(area)) for area in AREAS if area}
    names = {"rare": "r", "common": "c", "frequent": "f"}
    found |= {f"AP {name}": mean(of(frequency=letter)) for name, letter in names.items()}
    for area in AREAS:
        found[f"AR{area}"] = mean([v for (_, own), v in ar.items() if own == area])
    return found


def _category(
    gold: dict[str, Any], rows: Rows, category: int, bounds: tuple[float, float]
) -> tuple[Any, Any] | None:
    scores: list[float] = []
    hits: list[list[bool]] = []
    ignored: list[list[bool]] = []
    total = 0
    for image in sorted(gold["images"], key=lambda i: i["id"]):
        own = [a for a in gold["annotations"] if a["image_id"] == image["id"]]
        truth = [a for a in own if a["category_id"] == category]
        if not truth and category not in image["neg_category_ids"]:
            continue
        total += sum(_inside(a["area"], bounds) for a in truth)
        truth.sort(key=lambda a: not _inside(a["area"], bounds))
        found = [r for r in rows if r["image_id"] == image["id"] and r["category_id"] == category]
        found.sort(key=lambda r: -r["score"])
        used: list[set[int]] = [set() for _ in THRESHOLDS]
        for row in found:
            scores.append(row["score"])
            hits.append([])
            ignored.append([])
            outside = not _inside(row["bbox"][2] * row["bbox"][3], bounds)
            outside = outside or category in image["not_exhaustive_category_ids"]
            for threshold, taken in zip(THRESHOLDS, used, strict=True):
                best = _match(row, truth, taken, threshold, bounds)
                taken |= set() if best is None else {best}
                hits[-1].append(best is not None)
                ignored[-1].append(
                    outside if best is None else not _inside(truth[best]["area"], bounds)
                )
    if not total:
        return None
    order = np.argsort(-np.array(scores), kind="stable") if scores else []
    right = np.array(hits, dtype=bool).reshape(-1, 10)[order]
    counts = ~np.array(ignored, dtype=bool).reshape(-1, 10)[order]
    precisions, recalls = [], []
    for n in range(10):
        own = right[:, n][counts[:, n]]
        true = np.cumsum(own)
        recall = true / total
        precision = [*(true / np.arange(1, len(true) + 1)), 0.0]
        best_after = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, RECALLS, side="left")
        precisions.append(best_after[at].mean())
        recalls.append(recall[-1] if len(recall) else 0.0)
    return np.array(precisions), np.mean(recalls)


def _match(
    row: dict[str, Any], truth: Rows, taken: set[int], threshold: float, bounds: tuple[float, float]
) -> int | None:
    best, least = None, min(threshold, 1 - 1e-10)
    for number, one in enumerate(truth):
        if number in taken:
            continue
        inside = _inside(one["area"], bounds)
        if best is not None and _inside(truth[best]["area"], bounds) and not inside:
            break
        overlap = _iou(row["bbox"], one["bbox"])
        if overlap >= least:
            best, least = number, overlap
    return best


def _inside(area: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= area <= bounds[1]


def _iou(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (a[2] * a[3] + b[2] * b[3] - both)
