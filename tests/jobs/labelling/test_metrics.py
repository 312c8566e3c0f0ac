"""What a labelling tells Ray's metrics, read where Prometheus reads it."""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

import pytest

from jobs.commands.label.label import Running, label
from jobs.ray_session import ray_session
from tests.jobs.fake_label import UNIT, FakeSetup, write_corpus

WAIT_S = 240
"""Workers push their counts now and then."""


def scrape() -> str:
    """The metrics of the one node."""
    import ray

    port = ray.nodes()[0]["MetricsExportPort"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
            return str(page.read().decode())
    except OSError:  # it does not answer yet
        return ""


def total(page: str, name: str, **tags: str) -> float:
    """Sum of a counter over workers, for the given tags."""
    values = []
    for line in page.splitlines():
        if re.match(rf"ray_{name}(_total)?{{", line):
            found = dict(re.findall(r'(\w+)="([^"]*)"', line))
            if all(found.get(key) == value for key, value in tags.items()):
                values.append(float(line.rsplit(" ", 1)[1]))
    return sum(values)


@pytest.mark.slow
@pytest.mark.ray
def test_rows_boxes_reasons_and_seconds_are_counted(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 3, captions={4: "", 9: "it"})
    with ray_session(num_cpus=2):
        setup = FakeSetup(corpus=corpus)
        assert label(setup, str(tmp_path / "run"), UNIT, Running(workers=1, cpus_per_worker=1)) == 0
        deadline, page = time.monotonic() + WAIT_S, ""
        last = {"glipforge_rows_total": 24, "glipforge_units_total": 3}
        while time.monotonic() < deadline:
            page = scrape()
            if all(total(page, name) >= number for name, number in last.items()):
                break
            time.sleep(1)
    assert total(page, "glipforge_rows_total") == 24
    assert total(page, "glipforge_rows_total", status="caption_missing") == 1
    assert total(page, "glipforge_rows_total", status="no_phrases") == 1
    assert total(page, "glipforge_units_total") == 3
    assert total(page, "glipforge_boxes_total") > 0
    assert total(page, "glipforge_stage_seconds_total", stage="teacher") > 0
