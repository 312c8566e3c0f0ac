"""`label --names`: the same classes in every image, with or without captions, as any other run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli import main
from pipeline.phrases.class_list import planned_classes
from pipeline.run.store import RunStore
from schemas.records import Status


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (96, 64), (200, 40 * number, 30)).save(folder / f"{number}.png")
    (folder / "0.txt").write_text("a caption that is not used")
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def label(photos: Path, out: Path, names: str) -> int:
    command = ["label", "--corpus", str(photos), "--out", str(out), "--runner", "local"]
    return main([*command, "--names", names, "--max-failure-rate", "0.9"])


def test_every_image_is_asked_for_every_class(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert label(photos, out, "red thing; animal: dog, cat, -toy") == 0
    run = RunStore(str(out))
    classes = planned_classes(run.plan().config)
    assert classes is not None
    assert classes.names == ("red thing", "animal")
    rows = list(run.iter_annotations())
    assert len(rows) == 3
    for row in rows:
        assert row.caption == "red thing. animal."
        assert [(p.text, p.start, p.head) for p in row.phrases] == [
            ("red thing", 0, "red thing"),
            ("animal", 11, "animal"),
        ]
        assert row.status in (Status.OK, Status.NO_BOXES)
        assert all(box.phrase_index in (0, 1) for box in row.boxes)


def test_other_classes_are_another_run(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert label(photos, out, "cat, dog") == 0
    assert label(photos, out, "cat, dog") == 0
    assert label(photos, out, "cat, eel") == 2
    assert "phrases.classes" in capsys.readouterr().err


def test_an_export_has_the_classes_in_the_order_given(photos: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "run", tmp_path / "coco.json"
    assert label(photos, out, "zebra; Red thing: dog, cat; eel; animal: cow, -toy") == 0
    assert main(["filter", str(out)]) == 0
    assert main(["export", str(out), "--format", "coco", "--out", str(file)]) == 0
    categories = json.loads(file.read_text())["categories"]
    assert [(category["id"], category["name"]) for category in categories] == [
        (1, "zebra"),
        (2, "Red thing"),
        (3, "eel"),
        (4, "animal"),
    ]
