"""import, validate and export together, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli import main
from pipeline.curation.rules.presets import get_policy
from pipeline.run.store import RunStore


def coco_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number, size in ((1, (64, 48)), (2, (50, 50)), (3, (64, 48))):
        Image.new("RGB", (64, 48)).save(folder / f"{number}.png")
        images.append(
            {"id": number, "file_name": f"{number}.png"}
            | dict(zip(("width", "height"), size, strict=True))
        )
    images.append(images[0] | {"id": 4, "file_name": "gone.png"})
    categories = [
        {"id": 7, "name": "traffic_light"},
        {"id": 90, "name": "dog"},
        {"id": 3, "name": "cat"},
    ]
    boxes = [
        (1, 7, [1, 2, 3, 4]),
        (1, 90, [1, 2, 3, 4]),
        (2, 7, [1, 1, 9, 9]),
        (4, 90, [5, 5, 6, 6]),
    ]
    annotations = [
        {"id": n, "image_id": image, "category_id": category, "bbox": box}
        for n, (image, category, box) in enumerate(boxes, start=1)
    ]
    path = folder / "gold.json"
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return path


def test_gold_boxes_become_a_run_and_come_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    coco_file(tmp_path / "gold")
    assert main(["import", "gold/gold.json", "--out", "run"]) == 0
    shown = capsys.readouterr().out
    for line in (
        "coco (detection): 4 rows, 3 links of a box to a phrase",
        "record_invalid         1",
        "no_phrases             1",
        "1 x image of another size than its labels say",
        "1 x image that is not there (is --image-root right?)",
        "next: glipforge export run",
    ):
        assert line in shown
    run = RunStore(tmp_path / "run")
    assert run.is_complete()
    (bad,) = run.iter_quarantine()
    assert "has 64 x 48 pixels upright, its labels are of 50 x 50" in bad.detail
    assert main(["import", "gold/gold.json", "--out", "run"]) == 0  # again: nothing to do
    assert (
        main(["export", "run", "--format", "coco", "--image-root", "gold", "--out", "o.json"]) == 0
    )
    assert f"policy {get_policy('people-boxes').policy_id}" in capsys.readouterr().out
    raw = json.loads(Path("o.json").read_text())
    assert [entry["file_name"] for entry in raw["images"]] == ["1.png", "3.png", "gone.png"]
    assert [(c["id"], c["name"]) for c in raw["categories"]] == [
        (3, "cat"),
        (7, "traffic_light"),
        (90, "dog"),
    ]
    assert {entry["origin"] for entry in raw["annotations"]} == {"gold"}
    found = [(entry["category_id"], entry["bbox"]) for entry in raw["annotations"]]
    assert sorted(found) == [
        (7, [1.0, 2.0, 3.0, 4.0]),
        (90, [1.0, 2.0, 3.0, 4.0]),
        (90, [5.0, 5.0, 6.0, 6.0]),
    ]
    card = Path("o.README.md").read_text()
    assert "| gold | 3 |" in card
    assert str(tmp_path) not in card
    assert main(["validate", "o.json", "--image-root", "gold"]) == 1
    shown = capsys.readouterr().out
    assert "sample gold/4: image that is not there" in shown
    assert "gone.png" in shown
    assert "coco: 3 samples, 3 boxes, 3 images looked at; 1 problems" in shown
    assert main(["validate", "o.json", "--no-images", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["boxes"] == 3


def test_the_card_states_what_a_calibration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    coco_file(tmp_path / "gold")
    assert main(["import", "gold/gold.json", "--out", "run"]) == 0
    export = ["export", "run", "--format", "coco", "--out", "o.json", "--force"]
    assert main(export) == 0
    assert "No precision was measured" in Path("o.README.md").read_text()
    policy = ["--policy", "people-boxes"]
    assert main(["calibrate", "run", *policy, "--gold", "gold/gold.json"]) == 0
    assert main(export) == 0
    card = Path("o.README.md").read_text()
    assert "2 of 2 judged labels are right (gold)" in card
    assert "No precision was measured" not in card


def test_images_can_be_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco_file(tmp_path / "gold")
    run = tmp_path / "run"
    assert main(["import", str(path), "--out", str(run), "--require-images"]) == 0
    assert {row.status.value for row in RunStore(run).iter_quarantine()} == {
        "record_invalid",
        "image_missing",
    }
    assert main(["import", str(path), "--out", str(run)]) == 2
    assert "require-images was True, this run has False" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["import", "nowhere.json", "--out", "r"], "nowhere.json' does not exist"),
        (["import", "empty.json", "--out", "r"], "has nothing to import (no sample)"),
        (["validate", "nowhere.json"], "path 'nowhere.json' does not exist"),
        (
            ["validate", ".", "--format", "coco"],
            "'.' is a folder, and gold of format coco is a fil",
        ),
        (
            ["import", "empty.json", "--label-map", "no.txt", "--out", "r"],
            "--label-map 'no.txt' doe",
        ),
        (
            ["evaluate", "--gold", "no.json", "--detections", "no.json"],
            "gold 'no.json' does not ex",
        ),
        (
            ["evaluate", "--gold", "one.json", "--detections", "no.json"],
            "detections 'no.json' does",
        ),
        (["evaluate", "--gold", "one.json", "--detections", "."], "'.' is a folder, not a file"),
        (
            ["import", "empty.json", "--out", "r", "--require-images", "--no-check-images"],
            "--require-images looks at the images: do not give --no-check-images",
        ),
    ],
)
def test_what_cannot_be_imported_is_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text('{"images": [], "annotations": [], "categories": []}')
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
    raw = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    Path("one.json").write_text(json.dumps(raw))
    assert main(words) in (1, 2)
    said = capsys.readouterr().err
    assert message in said
    assert "Errno" not in said


def test_runs_are_merged_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = coco_file(tmp_path / "gold")
    for name in ("a", "b"):
        assert main(["import", str(path), "--out", name]) == 0
    words = ["export", "a", "--merge", "b", "--format", "coco", "--split", "0.5,0.5"]
    assert main([*words, "--out", "o.json"]) == 0
    shown = capsys.readouterr().out
    assert "left out: 3 x pair that an earlier run has (same image and caption)" in shown
    sizes = [
        len(json.loads(Path(f"o.{split}.json").read_text())["images"]) for split in ("train", "val")
    ]
    assert sum(sizes) == 3
    assert main([*words, "--out", "o.json"]) == 2
    assert "o.train.json' exists; give --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--split", "half"], "split must be shares such as 0.9,0.1, got 'half'"),
        (["--copy-images", "a", "--link-images", "b"], "--copy-images or --link-images, not both"),
        (["--copy-images", "a", "--format", "yolo"], "yolo keeps its images in its own folder"),
        (["--copy-images", "a", "--images", "embed"], "images embed or --copy-images, not both"),
        (
            ["--copy-images", "a", "--format", "glip-tsv"],
            "the rows of glip-tsv name no files: give --images embed",
        ),
    ],
)
def test_options_that_do_not_fit_are_explained(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", str(coco_file(tmp_path / "gold")), "--out", "run"]) == 0
    out = "x.tsv" if "glip-tsv" in words else "x" if "yolo" in words else "x.json"
    assert main(["export", "run", "--out", out, *words]) == 2
    assert message in capsys.readouterr().err
