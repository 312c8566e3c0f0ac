"""Bar charts as inline SVG text: no script, no font, no file beside the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

_INK, _GRID = "#3a3a40", "#dcdcd8"
COLORS = ("#1d78c8", "#e63946", "#2a9d50")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 460, 200, 52, 30, 12


def histogram(
    series: Sequence[tuple[str, Sequence[int]]],
    *,
    low: float,
    high: float,
    title: str,
    x_label: str,
) -> Markup:
    """Counts in equal bins over [low, high]; several series are drawn side by side in each bin.

    Raises:
        ValueError: the series have different numbers of bins, or none.
    """
    sizes = {len(counts) for _, counts in series}
    if len(sizes) != 1 or not max(sizes):
        raise ValueError(f"series must have one number of bins, got {sorted(sizes)}")
    num_bins, peak = max(sizes), max(max(counts) for _, counts in series) or 1
    plot_width, plot_height = _WIDTH - _LEFT - 8, _HEIGHT - _BOTTOM - _TOP
    slot = plot_width / num_bins
    bar = slot * 0.86 / len(series)
    parts = [_grid(peak, plot_width, plot_height)]
    for number, (_, counts) in enumerate(series):
        for place, count in enumerate(counts):
            height = plot_height * count / peak
            x = _LEFT + place * slot + slot * 0.07 + number * bar
            y = _TOP + plot_height - height
            start = low + (high - low) * place / num_bins
            tip = f"{_number(start)}: {count:,}"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" height="{height:.1f}" '
                f'fill="{COLORS[number % len(COLORS)]}"><title>{tip}</title></rect>'
            )
    for tick in ticks(low, high):
        x = _LEFT + plot_width * (tick - low) / ((high - low) or 1)
        parts.append(_text(x, _HEIGHT - 14, _number(tick), "middle"))
    parts.append(_text(_LEFT + plot_width / 2, _HEIGHT - 2, x_label, "middle"))
    return _figure(title, _legend(series), _svg(_WIDTH, _HEIGHT, parts))


def bars(rows: Sequence[tuple[str, int]], *, title: str, color: str = COLORS[0]) -> Markup:
    """Horizontal bars, one a row, with the count behind each."""
    if not rows:
        return _figure(title, "", '<p class="none">none</p>')
    row_height, label_width, width = 19, 210, 460
    peak = max(count for _, count in rows) or 1
    parts = []
    for number, (label, count) in enumerate(rows):
        y = number * row_height
        length = (width - label_width - 70) * count / peak
        short = label if len(label) <= 34 else label[:33] + "\u2026"
        parts.append(_text(label_width - 6, y + 14, short, "end", full=label))
        parts.append(
            f'<rect x="{label_width}" y="{y + 3}" width="{max(length, 0.5):.1f}" height="13" '
            f'fill="{color}"/>'
        )
        parts.append(_text(label_width + length + 5, y + 14, f"{count:,}", "start"))
    return _figure(title, "", _svg(width, len(rows) * row_height + 4, parts))


def _grid(peak: int, plot_width: float, plot_height: float) -> str:
    lines = []
    for tick in ticks(0, peak, whole=True):
        y = _TOP + plot_height * (1 - tick / peak)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + plot_width:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{_GRID}"/>' + _text(_LEFT - 5, y + 4, _number(tick), "end")
        )
    return "".join(lines)


def _legend(series: Sequence[tuple[str, Sequence[int]]]) -> str:
    if len(series) < 2:
        return ""
    keys = [
        f'<span><i style="background:{COLORS[number % len(COLORS)]}"></i>{escape(name)}</span>'
        for number, (name, _) in enumerate(series)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'


def _figure(title: str, legend: str, body: str) -> Markup:
    text = f"<figure><figcaption>{escape(title)}</figcaption>{legend}{body}</figure>"
    return Markup(text)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, anchor: str, full: str = "") -> str:
    tip = f"<title>{escape(full)}</title>" if full else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="11" fill="{_INK}">'
        f"{tip}{escape(text)}</text>"
    )


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round numbers in [low, high]: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _number(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
