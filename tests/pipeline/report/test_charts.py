from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from pipeline.report.charts import bars, histogram, ticks


def svg(chart: str) -> ElementTree.Element:
    found = re.search(r"<svg.*</svg>", chart)
    assert found is not None
    return ElementTree.fromstring(found.group())


@pytest.mark.parametrize("counts", [[0], [0, 0, 0], [1], [5, 0, 10**9]])
def test_a_histogram_has_one_bar_per_bin(counts: list[int]) -> None:
    chart = histogram([("a", counts)], low=0, high=1, title="t", x_label="x")
    heights = [float(bar.attrib["height"]) for bar in svg(chart).iter("rect")]
    assert len(heights) == len(counts)
    assert max(heights) == (158 if any(counts) else 0)
    assert "legend" not in chart


def test_series_stand_side_by_side_with_a_legend() -> None:
    chart = histogram([("a", [1, 2]), ("<b>", [3, 4])], low=0, high=2, title="t", x_label="x")
    assert len(list(svg(chart).iter("rect"))) == 4
    assert "&lt;b&gt;" in chart


@pytest.mark.parametrize("series", [[("a", [])], [("a", [1]), ("b", [1, 2])]])
def test_bins_must_agree(series: list) -> None:
    with pytest.raises(ValueError, match="series must have one number of bins"):
        histogram(series, low=0, high=1, title="t", x_label="x")


def test_bars() -> None:
    chart = bars([("a & b", 1200), ("x" * 50, 0)], title="<t>")
    assert len(list(svg(chart).iter("rect"))) == 2
    assert "&lt;t&gt;" in chart
    assert "a &amp; b" in chart
    assert "1,200" in chart
    assert "none" in bars([], title="t")


@pytest.mark.parametrize(
    "low, high, whole, expected",
    [
        (0, 1, False, [0, 0.5, 1]),
        (0, 51, False, [0, 20, 40]),
        (0, 9_999, True, [0, 5_000]),
        (0, 8_600, True, [0, 5_000]),
        (0, 3, True, [0, 1, 2, 3]),
        (0, 1, True, [0, 1]),
        (0.1, 0.9, False, [0.2, 0.4, 0.6, 0.8]),
        (5, 5, False, [5]),
    ],
)
def test_ticks_are_round(low: float, high: float, whole: bool, expected: list[float]) -> None:
    assert ticks(low, high, whole=whole) == expected


@pytest.mark.parametrize("peak", [7, 83, 999, 2_150, 9_999, 10_000, 24_300_000])
def test_labels_of_counts_are_whole_and_fit_left_of_the_axis(peak: int) -> None:
    chart = histogram([("a", [peak])], low=0, high=51, title="t", x_label="x")
    labels = [text.text or "" for text in svg(chart).iter("text")]
    assert len(labels) > 2
    assert all(len(label) <= 6 for label in labels)
    assert not [label for label in labels if "e+" in label]
