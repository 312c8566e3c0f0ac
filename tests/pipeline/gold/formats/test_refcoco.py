"""RefCOCO, RefCOCO+ and RefCOCOg as published: pickles of Python 2 beside COCO's instances."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jobs.cli import main
from pipeline.gold import load_gold
from pipeline.gold.load import guess_format
from pipeline.validate.check import validate
from schemas.errors import DataError
from tests.pipeline.gold.files import write_json

INSTANCES = {
    "images": [{"id": 7, "file_name": "COCO_train2014_7.jpg", "width": 100, "height": 80}],
    "annotations": [
        {"id": 5, "image_id": 7, "bbox": [10, 20, 30, 40], "category_id": 1},
        {"id": 6, "image_id": 7, "bbox": [0, 0, 10, 10], "category_id": 1},
    ],
    "categories": [{"id": 1, "name": "cat"}],
}


class OldPickler(pickle._Pickler):
    """Texts as Python 2 wrote them: bytes."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_old(self, text: str) -> None:
        data = text.encode("latin1")
        self.write(b"T" + struct.pack("<i", len(data)) + data)  # type: ignore[attr-defined]
        self.memoize(text)  # type: ignore[attr-defined]

    dispatch[str] = save_old


def refs(*splits: str, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "image_id": 7,
            "ann_id": 5 + number % 2,
            "ref_id": number,
            "split": split,
            "file_name": f"COCO_train2014_7_{number}.jpg",
            "sentences": [{"sent_id": first + number, "sent": f"cat {split}", "tokens": ["cat"]}],
        }
        for number, split in enumerate(splits)
    ]


def old(value: Any) -> bytes:
    out = io.BytesIO()
    OldPickler(out, 2).dump(value)
    return out.getvalue()


@pytest.mark.parametrize(
    "name, by, splits",
    [
        ("refcoco", "unc", ("train", "val", "testA", "testB")),
        ("refcoco", "google", ("train", "val", "test")),
        ("refcoco+", "unc", ("train", "val", "testA", "testB")),
        ("refcocog", "umd", ("train", "val", "test")),
        ("refcocog", "google", ("train", "val")),
    ],
)
def test_each_set_with_its_splits(
    tmp_path: Path, name: str, by: str, splits: tuple[str, ...]
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write_json(folder / "instances.json", INSTANCES)
    contents = [old(refs(*splits)), *(pickle.dumps(refs(*splits), n) for n in range(5))]
    for content in contents:
        (folder / f"refs({by}).p").write_bytes(content)
        assert guess_format(str(folder)) == "refcoco"
        gold = load_gold(str(folder))
        assert [sample.caption for sample in gold.samples] == [f"cat {one}" for one in splits]
        assert [s.sample_id for s in gold.samples] == [f"{name}/{n}" for n in range(len(splits))]
    for number, split in enumerate(splits):
        (sample,) = load_gold(str(folder), split=split).samples
        assert sample.caption == f"cat {split}"
        assert sample.boxes == (((10, 20, 40, 60), (0, 0, 10, 10))[number % 2],)
    with pytest.raises(DataError, match=f"has no split 'testC'; it has {sorted(splits)[0]}"):
        load_gold(str(folder), split="testC")


def test_two_sets_of_expressions_in_a_folder(tmp_path: Path) -> None:
    """RefCOCOg comes split by Google and by UMD: which one is meant is the user's to say."""
    write_json(tmp_path / "instances.json", INSTANCES)
    for by, splits in (("google", ("train",)), ("umd", ("train", "test"))):
        (tmp_path / f"refs({by}).p").write_bytes(old(refs(*splits)))
    with pytest.raises(DataError, match=r"has refs\(google\).p, refs\(umd\).p: name the file"):
        load_gold(str(tmp_path), "refcoco")
    assert len(load_gold(str(tmp_path / "refs(umd).p")).samples) == 2


def test_ids_that_are_floats_or_texts(tmp_path: Path) -> None:
    raw = json.loads(json.dumps(INSTANCES))
    raw["images"][0]["id"] = "x7"
    raw["annotations"][0]["id"] = 5.0
    write_json(tmp_path / "instances.json", raw)
    expressions = [one | {"image_id": "x7", "ann_id": 5.0} for one in refs("val")]
    write_json(tmp_path / "refs(unc).json", expressions)
    (sample,) = load_gold(str(tmp_path), "refcoco").samples
    assert sample.boxes == ((10, 20, 40, 60),)


@pytest.mark.parametrize("key", ["images", "annotations"])
@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, {"id": None}, {"id": 1.5}])
def test_odd_instances_have_their_place(tmp_path: Path, key: str, odd: Any) -> None:
    raw = INSTANCES | {key: [*INSTANCES[key], odd]}
    write_json(tmp_path / "instances.json", raw)
    write_json(tmp_path / "refs(unc).json", refs("val"))
    place = rf"{key}\[{len(INSTANCES[key])}\]"
    with pytest.raises(DataError, match=place):
        load_gold(str(tmp_path), "refcoco")
    found = validate(str(tmp_path), "refcoco", images=False)
    assert found.samples == 1
    (problem,) = found.problems
    assert place.replace("\\", "") in f"{problem.where}: {problem.what}"


def test_a_number_in_a_pickle_takes_no_memory(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", INSTANCES)
    # "Remember this list as number 2**31 - 1": a table of so many places, 16 GB.
    (tmp_path / "refs(unc).p").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    assert load_gold(str(tmp_path), "refcoco").samples == ()


def test_expressions_come_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As MDETR's file of expressions: back again it is the same."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "refcoco+"
    folder.mkdir()
    write_json(folder / "instances.json", INSTANCES)
    (folder / "refs(unc).p").write_bytes(old(refs("train", "testA", "testA")))
    assert main(["import", str(folder), "--split", "testA", "--out", "run"]) == 0
    assert "refcoco (grounding): 2 rows, 2 links" in capsys.readouterr().out
    assert main(["export", "run", "--format", "goldg", "--out", "o.json"]) == 0
    first, second = load_gold(str(folder), split="testA"), load_gold("o.json")
    for key in ("sample_id", "caption", "boxes", "spans", "width", "height"):
        values = [[getattr(one, key) for one in gold.samples] for gold in (first, second)]
        assert values[0] == values[1]
