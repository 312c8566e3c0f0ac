from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from tests.benchmarks.gpu import __main__ as program
from tests.benchmarks.gpu.case import Case, Row

SIZES = "--preset glip-nano --dino toy --size 64x96 --batches 2 --fixtures --threads 1"
SMALL = ["--device", "cpu", *SIZES.split()]


@pytest.mark.slow
def test_the_program_measures_every_part_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert program.main([*SMALL, "--dtypes", "fp32", "--json", str(out)]) == 0
    rows = json.loads(out.read_bytes())["rows"]
    assert {row["part"] for row in rows} == {"speed", "ways", "memory", "label", "train"}
    by_part = {row["part"]: row["figures"] for row in rows}
    assert by_part["memory"]["batch afterwards"] < 8
    assert by_part["memory"]["answers"] == 8
    assert by_part["memory"]["worst score difference"] < 1e-5
    assert by_part["label"]["of the bare teacher"] > 0
    assert by_part["train"]["images/s"] > 0
    parts = next(row["figures"] for row in rows if row["what"] == "  its parts")
    assert {"backbone ms", "fusion ms", "dynamic head ms"} <= parts.keys()
    ours = rows[0]["figures"]
    assert ours["images/s"] > 0
    assert ours["of Grounding DINO's"] > 0


def test_a_part_that_fails_is_a_line_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(case: Case) -> Generator[Row]:
        yield Row(part="speed", what="before")
        raise RuntimeError("CUDA error: device-side assert\nmore")

    def fine(case: Case) -> Generator[Row]:
        yield Row(part="memory", what="after", figures={"images/s": 2.5})

    monkeypatch.setattr(program, "PARTS", {"speed": broken, "memory": fine})
    monkeypatch.setattr(program, "GOLDEN", tmp_path)
    options = [*SMALL, "--parts", "speed", "memory"]
    assert program.main(options) == 1
    told = capsys.readouterr().out
    assert "RuntimeError: CUDA error: device-side assert\n" in told
    assert "images/s 2.5" in told


def test_both_ways_of_a_part_are_measured_in_every_format(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    options = ["--parts", "ways", "--dtypes", "fp32", "bf16", "fp16", "--json", str(out)]
    assert program.main([*SMALL, *options]) == 0
    rows = json.loads(out.read_bytes())["rows"]
    names = ("torchvision by level", "rows", "rows of half", "in chunks", "torch's kernel")
    for name in names:
        own = [row for row in rows if row["what"].endswith(name)]
        formats = {"bf16", "fp16"} | (set() if "half" in name else {"fp32"})
        assert {row["dtype"] for row in own} == formats
        assert all(row["figures"]["ms"] > 0 for row in own)
    for row in rows:
        assert row["figures"]["error"] < {"fp32": 1e-5, "bf16": 2e-2, "fp16": 2e-3}[row["dtype"]]
    assert any(row["what"].endswith("trained") for row in rows)


def test_time_that_ends_within_a_part_leaves_the_rest_of_it_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter((0.0, 1.0, 2.0, 11.0))
    monkeypatch.setattr(program.time, "perf_counter", lambda: next(times))

    def endless(case: Case) -> Generator[Row]:
        while True:
            yield Row(part="speed", what="a line")

    monkeypatch.setattr(program, "PARTS", {"speed": endless})
    assert program.main([*SMALL, "--parts", "speed", "--budget", "10"]) == 1
    told = capsys.readouterr().out
    assert told.count("a line") == 2
    assert "left out: no time was left" in told


def test_what_comes_too_late_is_left_out_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([*SMALL, "--parts", "speed", "--budget", "-1"]) == 1
    assert "left out: no time was left" in capsys.readouterr().out


def test_a_gpu_gets_full_sizes() -> None:
    parsed = program.parse(["--device", "cuda"])
    case = program.make_case(parsed)
    assert (case.height, case.width, case.preset, case.dino) == (800, 1333, "glip-t", "tiny")
    assert case.dtypes == ("fp32", "bf16", "fp16")
    assert max(case.batches) == 16
    assert case.device == torch.device("cuda")
    assert case.budget_s < 600
