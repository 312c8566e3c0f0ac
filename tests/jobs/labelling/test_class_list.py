"""`label --names`: the same classes in every image, with or without captions, as any other run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from jobs.cli import main
from pipeline.curation.recommended import policy_for
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


def label(photos: Path, out: Path, names: str, *more: str) -> int:
    command = ["label", "--corpus", str(photos), "--out", str(out), "--runner", "local"]
    return main([*command, "--names", names, "--max-failure-rate", "0.9", *more])


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
    for other, said in [
        (
            "cat, eel",
            "classes 'dog' was 'dog', this run has 'not there'; phrases.classes 'eel' was",
        ),
        ("cat; dog: dog, -wolf", "phrases.classes 'dog' was 'dog', this run has 'dog, -wolf'."),
        ("dog, cat", "phrases.classes, number 1 was 'cat', this run has 'dog'."),
        (",".join(map(str, range(99))), "phrases.classes, more was None, this run has '96 others'"),
    ]:
        assert label(photos, out, other) == 2
        assert said in capsys.readouterr().err
    assert label(photos, out, "") == 2
    assert "--names has no name in it" in capsys.readouterr().err


def test_a_class_is_no_word_of_a_caption(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, policy = tmp_path / "my run", tmp_path / "all.json"
    names = "view; a red dog; ☃; bow_(weapon); bow_(ribbon): -x"
    assert label(photos, out, names, "--score-floor", "0", "--token-threshold", "0") == 0
    said = capsys.readouterr().out
    assert "classes  5: view; a red dog; ☃; bow_(weapon) (bow); bow_(ribbon) (bow, not x)\n" in said
    assert "'bow' is asked for 2: bow_(weapon), bow_(ribbon): each of them gets the same" in said
    assert "not seen 1: ☃: the teacher has no word for it" in said
    rules = {"name": "all", "base": "default", "score_threshold": 0.0}
    thresholds = {"view": 0.0, "a red dgo": 0.5, "bow_(ribbon)": 0.0}
    policy.write_text(json.dumps(rules | {"class_thresholds": thresholds}))
    assert main(["filter", str(out), "--policy", str(policy)]) == 0
    said = capsys.readouterr()
    assert "drop list" not in said.out
    assert "--format coco" in said.out
    assert (
        "note     policy 'all': class_thresholds has 'a red dgo', not among this run's classes: "
        "without effect; is 'a red dog' meant?\n"
    ) in said.err
    coco = ["--format", "coco", "--out", str(tmp_path / "coco.json"), "--policy", str(policy)]
    assert main(["export", str(out), *coco]) == 0
    assert "note: policy 'all': class_thresholds has 'a red dgo'" in capsys.readouterr().out
    found = policy_for(RunStore(str(out)), "default")
    assert (found.drop_lists, found.drop_nonwords, found.long_span_share) == ((), False, 1.0)
    assert main(["queue", str(out), "--policy", str(policy), "--show", "1000"]) == 0
    said = capsys.readouterr().out
    assert "the caption names" not in said
    assert f"next: glipforge review push '{out}' --policy {policy} --queue errors" in said
    assert main(["audit", str(out), "--policy", str(policy)]) == 0
    said = capsys.readouterr().out
    assert f"--queue audit --policy {policy};" in said
    assert f"glipforge calibrate '{out}' --policy {policy}\n" in said
    assert main(["calibrate", str(out), "--policy", "recommended"]) == 2
    assert "policy recommended@" in capsys.readouterr().err


def test_an_export_has_the_classes_in_the_order_given(photos: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "run", tmp_path / "coco.json"
    assert label(photos, out, "zebra; Red thing: dog, cat; eel; animal: cow, -toy") == 0
    assert main(["filter", str(out)]) == 0
    assert main(["export", str(out), "--format", "coco", "--out", str(file)]) == 0
    categories = json.loads(file.read_text())["categories"]
    other = tmp_path / "other"
    assert label(photos, other, "Animal; tree") == 0
    assert main(["filter", str(other)]) == 0
    merged = ["export", str(out), "--merge", str(other), "--format", "coco", "--force"]
    assert main([*merged, "--out", str(file)]) == 0
    found = json.loads(file.read_text())["categories"]
    assert [(one["id"], one["name"]) for one in found[3:]] == [(4, "animal"), (5, "tree")]
    assert found[:4] == categories
    assert [(category["id"], category["name"]) for category in categories] == [
        (1, "zebra"),
        (2, "Red thing"),
        (3, "eel"),
        (4, "animal"),
    ]
