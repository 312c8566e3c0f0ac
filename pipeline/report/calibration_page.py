"""The page of a calibration: promises, precision by threshold, reliability, classes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from pipeline.curation.calibration import Calibration
from pipeline.report.template import fill

_BLUE, _RED, _INK, _GRID = "#1d78c8", "#e63946", "#3a3a40", "#dcdcd8"
_SIZE, _PAD = 340, 40
Point = tuple[float, float]


def calibration_page(found: Calibration, *, title: str) -> str:
    """A self-contained HTML page."""
    return fill(
        "calibration",
        title=title,
        found=found,
        precision=precision_plot(found),
        reliability=reliability_plot(found),
    )


def precision_plot(found: Calibration) -> Markup:
    """Precision above each threshold with its interval, and the promised thresholds."""
    points = [point for point in found.curve if point.precision is not None]
    parts = [_bar(point.threshold, point.low, point.high) for point in points if point.precision]
    parts.append(_line([(p.threshold, p.precision or 0.0) for p in points], _BLUE))
    if any(p.recall is not None for p in points):
        parts.append(_line([(p.threshold, p.recall or 0.0) for p in points], _GRID))
    for promise in found.promises:
        if promise.threshold is not None:
            x = _x(promise.threshold)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(0):.1f}" y2="{_y(1):.1f}" '
                f'stroke="{_RED}" stroke-dasharray="4 3"><title>precision at least '
                f"{promise.precision:g} from here</title></line>"
            )
    return _figure("precision of the labels above a score", "score", parts)


def reliability_plot(found: Calibration) -> Markup:
    """Precision of the labels in each band of scores, beside the score itself, with the map."""
    parts = [_line([(0, 0), (1, 1)], _GRID)]
    for one in found.reliability:
        if one.mean_score is None or one.precision is None:
            continue
        parts.append(_bar(one.mean_score, one.low, one.high))
        parts.append(
            f'<circle cx="{_x(one.mean_score):.1f}" cy="{_y(one.precision):.1f}" r="4" '
            f'fill="{_BLUE}"><title>{one.right} of {one.drawn} right</title></circle>'
        )
    parts.append(_line(list(zip(found.scores, found.probabilities, strict=True)), _RED))
    return _figure("reliability: share right by score", "score", parts)


def _x(share: float) -> float:
    return _PAD + share * (_SIZE - 2 * _PAD)


def _y(share: float) -> float:
    return _SIZE - _PAD - share * (_SIZE - 2 * _PAD)


def _bar(x: float, low: float, high: float) -> str:
    return (
        f'<line x1="{_x(x):.1f}" x2="{_x(x):.1f}" y1="{_y(low):.1f}" y2="{_y(high):.1f}" '
        f'stroke="{_BLUE}" stroke-opacity=".3" stroke-width="3"/>'
    )


def _line(points: Sequence[Point], color: str) -> str:
    text = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
    return f'<polyline points="{text}" fill="none" stroke="{color}" stroke-width="2"/>'


def _figure(title: str, x_label: str, parts: Sequence[str]) -> Markup:
    axes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        axes.append(
            f'<line x1="{_x(0):.1f}" x2="{_x(1):.1f}" y1="{_y(share):.1f}" y2="{_y(share):.1f}" '
            f'stroke="{_GRID}" stroke-width=".5"/>'
            f'<text x="{_x(0) - 5:.1f}" y="{_y(share) + 4:.1f}" font-size="11" text-anchor="end" '
            f'fill="{_INK}">{share:g}</text>'
            f'<text x="{_x(share):.1f}" y="{_SIZE - 22}" font-size="11" text-anchor="middle" '
            f'fill="{_INK}">{share:g}</text>'
        )
    label = (
        f'<text x="{_SIZE / 2}" y="{_SIZE - 5}" font-size="11" text-anchor="middle" '
        f'fill="{_INK}">{escape(x_label)}</text>'
    )
    text = (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_SIZE} {_SIZE}" width="{_SIZE}" role="img">'
        f"{''.join(axes)}{''.join(parts)}{label}</svg></figure>"
    )
    return Markup(text)
