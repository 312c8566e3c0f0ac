"""The commands that read a labelled run: filter, export, compare, report, evaluate --run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.commands.curate import compare, report
from jobs.commands.curate import filter as filter_job
from jobs.commands.share import export
from jobs.commands.train import evaluate
from pipeline.curation.curate import curate_run
from pipeline.curation.decisions import append_decisions
from pipeline.curation.rules.presets import get_policy
from pipeline.gold import load_gold
from schemas.errors import ConfigError
from schemas.records import Verdict
from tests.jobs.commands.test_next_lines import next_of
from tests.jobs.toy_run import toy_run, write_gold
from tests.pipeline.curation.test_decisions import decided


def test_filter_says_what_each_rule_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    assert filter_job.run(filter_job.Config(run="RUN")) == 0
    shown = capsys.readouterr().out
    for line in ("candidates", "- score: not above the threshold", "kept by the rules", "no_boxes"):
        assert line in shown
    assert "2.00 boxes per kept pair" in shown
    assert "next: glipforge export RUN --policy default --format goldg" in shown
    stats = json.loads((tmp_path / "RUN" / "stats.json").read_text())
    assert stats["policies"][get_policy("default").policy_id]["labels"]["boxes"] == 4
    append_decisions(run, [decided(1, Verdict.DROP, record_id="toy/1", box_id="toy/1#0")])
    filter_job.run(filter_job.Config(run="RUN"))
    shown = capsys.readouterr().out
    assert "after decisions of people" in shown
    assert "decisions: drop 1" in shown
    assert "the run is not finished" in shown


def test_filter_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    filter_job.run(filter_job.Config(run="RUN", policy=("glip",), json=True))
    counts = json.loads(capsys.readouterr().out)
    assert counts["drops"]["boxes"] == 6
    assert counts["records_out"] == 2


def test_policies_are_compared_without_writing_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    both = ("glip", "owlst")
    assert filter_job.run(filter_job.Config(run="RUN", policy=both, compare=True)) == 0
    shown = capsys.readouterr().out
    for line in ("candidates", "- score: not above", "kept by both", "written"):
        assert line in shown
    page = (tmp_path / "RUN" / "policies.html").read_text()
    assert "<svg" in page
    assert get_policy("owlst").policy_id in page
    assert not (tmp_path / "RUN" / "curated").exists()
    filter_job.run(filter_job.Config(run="RUN", policy=both, compare=True, json=True))
    found = json.loads(capsys.readouterr().out)
    assert found["kept_by_both"] == [[4, 4], [4, 6]]
    assert found["overlap"][0] == [1.0, 4 / 6]
    with pytest.raises(ConfigError, match=r"needs two or more policies that differ, got glip@"):
        filter_job.run(filter_job.Config(run="RUN", policy=("glip", "glip"), compare=True))
    with pytest.raises(ConfigError, match=r"out is the page of a comparison: give --compare"):
        filter_job.run(filter_job.Config(run="RUN", out="p.html"))


def test_several_policies_are_curated_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    assert filter_job.run(filter_job.Config(run="RUN", policy=("glip", "owlst"))) == 0
    assert {path.name.split("@")[0] for path in Path(run.url("curated")).iterdir()} == {
        "glip",
        "owlst",
    }


@pytest.mark.ray
@pytest.mark.slow
def test_a_ray_cluster_curates_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    filter_job.run(filter_job.Config(run="RUN"))
    folder = Path(run.url("curated", get_policy("default").policy_id))
    here = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    filter_job.run(filter_job.Config(run="RUN", runner="ray", workers=2))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == here
    with pytest.raises(ConfigError, match="has no layer 'clip'"):
        filter_job.run(filter_job.Config(run="RUN", policy=("yoloworld",), runner="ray", workers=1))


def test_an_unknown_policy_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_run(tmp_path, monkeypatch)
    with pytest.raises(ConfigError, match=r"policy must be one of default, .*got 'best'"):
        filter_job.run(filter_job.Config(run="RUN", policy=("best",)))


def test_export_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    out = tmp_path / "labels.json"
    config = export.Config(run="RUN", out=str(out), image_root=str(tmp_path))
    assert export.run(config) == 0
    shown = capsys.readouterr().out
    assert "goldg: 2 pairs, 4 boxes, 4 box-phrase links, 0 negative phrases" in shown
    assert f"written {out}" in shown
    gold = load_gold(str(out), image_root=str(tmp_path))
    assert [sample.image_uri for sample in gold.samples] == [
        str(tmp_path / "images" / f"{number}.png") for number in (0, 1)
    ]
    with pytest.raises(ConfigError, match=r"labels.json' exists; give --force to replace it"):
        export.run(config)


@pytest.mark.parametrize("orientation", [1, 6])
def test_copied_images_are_plain_upright_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    orientation: int,
) -> None:
    from PIL import Image

    run = toy_run(tmp_path, monkeypatch)
    source = tmp_path / "images" / "0.png"
    if orientation != 1:
        # stored lying on its side; the run saw it upright
        with Image.open(source) as image:
            turned = image.transpose(Image.Transpose.ROTATE_90)
            exif = image.getexif()
            exif[0x0112] = orientation
            turned.save(source, exif=exif)
    out, folder = tmp_path / "labels.jsonl", tmp_path / "copies"
    capsys.readouterr()
    export.run(export.Config(run="RUN", out=str(out), format="odvg", copy_images=str(folder)))
    words = next_of(capsys.readouterr().out)
    assert words == ["validate", str(out), "--image-root", str(folder)]
    assert cli.main(words) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["record_id"] for row in rows] == ["toy/0", "toy/1"]
    with Image.open(folder / rows[0]["filename"]) as copied:
        assert copied.size == (64, 48)
        assert copied.getexif().get(0x0112, 1) == 1
        assert copied.getpixel((10, 10)) == (220, 30, 30)
    assert run is not None


def test_pairs_whose_image_is_gone_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    (tmp_path / "images" / "0.png").unlink()
    out = str(tmp_path / "labels.json")
    export.run(export.Config(run="RUN", out=out, copy_images=str(tmp_path / "copies")))
    shown = capsys.readouterr().out
    assert "left out: 1 x pair whose image cannot be copied: image_missing" in shown
    assert "goldg: 1 pairs" in shown


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"out": "x.json", "format": "odvg"}, r"out must end in .jsonl for odvg, got 'x.json'"),
        (
            {"out": "x.json", "copy_images": "a", "image_root": "b"},
            r"give image_root or copy_images, not both",
        ),
    ],
)
def test_wrong_export_options_are_explained(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        export.run(export.Config(run="RUN", **fields))


def test_compare_a_run_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    assert compare.run(compare.Config(a="RUN", b="RUN")) == 0
    shown = capsys.readouterr().out
    assert "3 pairs in both, 0 only in A, 0 only in B" in shown
    assert "labels: 4 kept (0 of them moved), 0 missed, 0 added; agreement 100.0%" in shown
    compare.run(compare.Config(a="RUN", b="RUN", json=True))
    found = json.loads(capsys.readouterr().out)
    assert found["by_noun"]["box"]["kept"] == 4
    assert found["statuses"] == [["no_boxes", "no_boxes", 1], ["ok", "ok", 2]]


def test_report_is_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    (tmp_path / "<RUN>").symlink_to("RUN")
    assert report.run(report.Config(run="<RUN>", pictures=5)) == 0
    page = (tmp_path / "RUN" / "report.html").read_text()
    assert "report.html" in capsys.readouterr().out
    assert "&lt;RUN&gt;" in page
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    assert page.count("<svg") >= 6
    for text in ("score: not above the threshold", "a red box", "fake@0", "toy (jsonl)"):
        assert text in page
    assert "http://" not in page  # nothing is fetched
    assert 'src="http' not in page
    with pytest.raises(ConfigError, match=r"pictures must be 0 or more, got -1"):
        report.run(report.Config(run="RUN", pictures=-1))


def test_evaluate_a_run_on_grounding_gold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    out = tmp_path / "figures" / "e.json"
    config = evaluate.Config(gold=write_gold(tmp_path), run="RUN", out=out)
    assert evaluate.run(config) == 0
    shown = capsys.readouterr().out
    assert "phrase R@1 (any-box)" in shown
    assert "label precision" in shown
    assert re.search(r"nouns with the most wrong labels\s+noun .*\nbox +2 +4 +0.50 +0.33", shown)
    figures = json.loads(out.read_text())
    # 3 pairs of 2 phrases: one pair right, one swapped, one without boxes
    first = figures["recalls"][0]
    assert first["protocol"] == "any-box"
    assert first["recall"]["1"]["value"] == pytest.approx(2 / 6)
    assert first["chance"]["1"]["value"] == pytest.approx(0.5)
    assert figures["labels"]["precision"]["value"] == pytest.approx(2 / 4)
    assert figures["labels"]["recall"]["value"] == pytest.approx(2 / 6)
    assert figures["join"]["phrases_exact"] == 6
    assert figures["labels"]["by_noun"]["box"]["labels"] == 4


def test_evaluate_a_run_on_detection_gold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy_run(tmp_path, monkeypatch)
    gold = write_gold(tmp_path, detection=True)
    evaluate.run(evaluate.Config(gold=gold, run="RUN", json=True))
    figures = json.loads(capsys.readouterr().out)
    assert figures["agnostic_recall"]["value"] == pytest.approx(4 / 6)
    assert figures["recalls"][0]["recall"]["1"]["value"] == pytest.approx(2 / 6)


def test_the_curation_is_made_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy_run(tmp_path, monkeypatch)
    made = curate_run(run, get_policy("default"))
    before = (tmp_path / "RUN" / "curated" / made.policy_id / "manifest.json").stat().st_mtime_ns
    export.run(export.Config(run="RUN", out=str(tmp_path / "a.json")))
    manifest = tmp_path / "RUN" / "curated" / made.policy_id / "manifest.json"
    assert manifest.stat().st_mtime_ns == before  # up to date: not made again
