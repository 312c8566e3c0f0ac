"""What a COCO file says beside its boxes comes out again: masks, areas, licences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO

from jobs.cli import main
from tests.jobs.commands.share.test_import import coco_file

POLYGON = [[1.0, 2.0, 4.0, 2.0, 4.0, 6.0]]
CREDIT = {"id": 4, "name": "CC BY 2.0", "url": "http://cc/by"}


@pytest.mark.parametrize("name", ["coco", "lvis"])
def test_masks_and_licences_come_out_again(
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = coco_file(tmp_path / "gold")
    raw = json.loads(path.read_text()) | {"licenses": [CREDIT]}
    raw["images"] = [one | {"license": 4} for one in raw["images"]]
    if name == "lvis":
        lists: dict[str, list[int]] = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        raw["images"] = [one | lists for one in raw["images"]]
    raw["annotations"][0]["segmentation"] = POLYGON
    raw["annotations"][3]["segmentation"] = [[1, 2]]  # no polygon
    path.write_text(json.dumps(raw))
    for _ in range(2):  # again: nothing changes
        assert main(["import", str(path), "--out", "run"]) == 0
        shown = capsys.readouterr().out
        assert "1 masks: export --masks writes them" in shown
        assert "segmentation that is neither polygons nor run lengths of its image" in shown
    options = ["--image-root", "gold", "--masks", "--out", "o.json"]
    assert main(["export", "run", "--format", name, *options]) == 0
    assert "2 boxes have no mask: the layer `masks` has none for 2" in capsys.readouterr().out
    (found,) = [one for one in COCO("o.json").dataset["annotations"] if one.get("segmentation")]
    source, copy = COCO(str(path)), COCO("o.json")
    expected = source.annToMask(source.anns[1])
    assert (copy.annToMask(found) == expected).all()
    assert found["area"] == expected.sum()
    assert f"| {CREDIT['name']} ({CREDIT['url']}) | 3 |" in Path("o.README.md").read_text()
    assert main(["import", "o.json", "--out", "again", "--image-root", "gold"]) == 0
    assert "1 masks" in capsys.readouterr().out  # coco: as captions and spans


def square(left: float) -> list[list[float]]:
    return [[left, 2.0, left + 4, 2.0, left + 4, 8.0, left, 8.0]]


def test_masks_stay_on_their_boxes_where_runs_are_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sets whose records have the same ids: the masks of one must not be another's."""
    monkeypatch.chdir(tmp_path)
    for name, left in (("one", 1.0), ("two", 9.0)):
        path = coco_file(tmp_path / name)
        raw = json.loads(path.read_text())
        if name == "two":  # other pictures: other pairs under the ids of the first
            for image in raw["images"]:
                Image.new("RGB", (image["width"], image["height"]), "red").save(
                    path.parent / image["file_name"]
                )
        for entry in raw["annotations"]:
            entry |= {"segmentation": square(left), "bbox": [left, 2, 4, 6], "iscrowd": 0}
        path.write_text(json.dumps(raw))
        assert main(["import", str(path), "--out", f"run-{name}"]) == 0
    for rule in ("first", "union"):
        options = ["--merge", "run-two", "--merge-rule", rule, "--masks", "--format", "coco"]
        assert main(["export", "run-one", *options, "--out", f"{rule}.json"]) == 0
        assert "have no mask" not in capsys.readouterr().out
        coco = COCO(f"{rule}.json")
        found = coco.dataset["annotations"]
        assert {entry["bbox"][0] for entry in found} == {1, 9}
        for entry in found:
            mask = coco.annToMask(entry)
            assert mask.sum() == 24 == mask[2:8, int(entry["bbox"][0]) :][:, :4].sum()
