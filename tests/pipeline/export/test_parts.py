from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.export import CardFacts, ExportOptions, export_records
from pipeline.export.categories import read_categories
from pipeline.export.merge import REPEATED, merged_records
from pipeline.export.parts import Part, Parts
from pipeline.run.info import KnownCategories
from schemas.errors import ConfigError
from schemas.records import CuratedRecord, Phrase
from tests.pipeline.export.golden import dogs_record, golden_records, kite_record
from tests.schemas.builders import make_curated


def many(number: int) -> list[CuratedRecord]:
    return [
        make_curated(record_id=f"m/{n}", image_sha256=f"{n // 2:064x}", image_uri=f"{n}.jpg")
        for n in range(number)
    ]


def test_copies_of_an_image_stay_together_and_shares_are_met() -> None:
    records = many(4_000)
    parts = Parts(ExportOptions(split=(0.8, 0.15, 0.05)))
    found = {record.record_id: parts.of(record).split for record in records}
    for first, second in zip(records[0::2], records[1::2], strict=True):
        assert found[first.record_id] == found[second.record_id]
    counts = Counter(found.values())
    assert counts["train"] == pytest.approx(3_200, abs=120)
    assert counts["test"] == pytest.approx(200, abs=60)
    again = Parts(ExportOptions(split=(0.8, 0.15, 0.05)))
    assert {one.record_id: again.of(one).split for one in reversed(records)} == found
    other = Parts(ExportOptions(split=(0.8, 0.15, 0.05), seed=1))
    assert {one.record_id: other.of(one).split for one in records} != found


@pytest.mark.parametrize(
    "part, name",
    [
        (Part(), "labels.json"),
        (Part(split="val"), "labels.val.json"),
        (Part(shard=3), "labels-00003.json"),
        (Part(split="train", shard=0), "labels.train-00000.json"),
    ],
)
def test_names_of_parts(part: Part, name: str) -> None:
    assert part.of_name("labels.json") == name


@pytest.mark.parametrize("name", ["goldg", "odvg", "coco", "lvis", "glip-tsv", "grit", "boxes"])
def test_shards_and_splits_hold_every_pair_once(tmp_path: Path, name: str) -> None:
    from pipeline.export import FORMATS
    from pipeline.gold import load_gold

    out = tmp_path / f"o{FORMATS[name].extension}"
    options = ExportOptions(split=(0.5, 0.5), shard_pairs=7)
    summary = export_records(many(40), name, str(out), options)
    files = [Path(path) for path in summary.paths if path.endswith(FORMATS[name].extension)]
    assert len(files) >= 6
    assert not out.exists()
    known = {"goldg": "mdetr"}.get(name, name)
    samples = [sample for file in files for sample in load_gold(str(file), known).samples]
    assert len({sample.sample_id for sample in samples}) == len(samples) == 40


def test_options_that_a_format_has_no_use_for_are_named(tmp_path: Path) -> None:
    options = ExportOptions(
        categories="object", keep_pairs=True, tsv_version=2, image_names="content", seed=3
    )
    summary = export_records(many(3), "goldg", str(tmp_path / "o.json"), options)
    assert [note for note in summary.notes if "changes nothing" in note] == [
        "--categories changes nothing for goldg",
        "--keep-pairs changes nothing for goldg",
        "--tsv-version changes nothing for goldg",
        "--image-names changes nothing for goldg",
        "--seed changes nothing for goldg without --split",
    ]


def test_a_root_for_images_that_are_copied_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"image_root names .* yolo has them in itself.*copy"):
        export_records([], "yolo", str(tmp_path / "o"), ExportOptions(image_root="images"))


def test_categories_are_the_same_in_every_split(tmp_path: Path) -> None:
    options = ExportOptions(split=(0.5, 0.5))
    export_records([kite_record(), dogs_record()], "coco", str(tmp_path / "o.json"), options)
    files = [json.loads((tmp_path / f"o.{split}.json").read_text()) for split in ("train", "val")]
    assert files[0]["categories"] == files[1]["categories"]
    assert len(files[0]["categories"]) == 3


# --- categories ----------------------------------------------------------------------------------


def phrase(text: str, head: str = "") -> Phrase:
    return Phrase(text=text, start=0, end=len(text), head=head)


def test_a_closed_list_takes_the_longest_ending() -> None:
    found = read_categories("table, dining table, hot dog, dog")
    names = {
        "the big dining table": "dining table",
        "a table": "table",
        "two hot dogs": "hot dog",
        "Dogs": "dog",
        "a dog house": None,
    }
    heads = {"two hot dogs": "dog", "Dogs": "dog", "a dog house": "house"}
    for text, name in names.items():
        place = found.of_phrase(phrase(text, heads.get(text, "")))
        assert (None if place is None else found.names[place]) == name, text


@pytest.mark.parametrize(
    "content", [{"person": ["woman", "man"], "pet": ["dog"]}, {"woman": "person", "dog": "pet"}]
)
def test_a_map_of_synonyms(tmp_path: Path, content: dict) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps(content))
    found = read_categories(str(path))
    assert found.names == ["person", "pet"]
    assert found.of_phrase(phrase("an old woman", "woman")) == 0
    assert found.of_phrase(phrase("a cat", "cat")) is None


def test_numbers_give_ids(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"3": "dog", "1": "cat"}))
    found = read_categories(str(path))
    assert [found.id_of(place) for place in range(2)] == [1, 3]
    lines = tmp_path / "names.txt"
    lines.write_text("\ufeffcat\ndog\n")
    assert read_categories(f"@{lines}").names == ["cat", "dog"]


@pytest.mark.parametrize(
    "choice, message",
    [
        ("phrase", r"categories must be head, object, names between commas or a file, got 'phr"),
        ("cat,,dog", r"the name number 2 is empty"),
        ("cat, cat", r"the name 'cat' occurs twice"),
        (",", r"the name number 1 is empty"),
        ("none.json", r"categories: gold file 'none.json' cannot be read"),
    ],
)
def test_wrong_categories_are_explained(choice: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_categories(choice)


def test_one_category_alone() -> None:
    assert read_categories("traffic light,").names == ["traffic light"]
    with pytest.raises(ConfigError, match=r"got 'cat'; one name alone is 'cat,'"):
        read_categories("cat")


def test_boxes_of_no_category_are_counted(tmp_path: Path) -> None:
    options = ExportOptions(categories="kite, boat")
    summary = export_records(golden_records(), "coco", str(tmp_path / "o.json"), options)
    assert summary.left_out["box whose phrase is none of the categories"] == 4
    assert dict(summary.categories) == {"kite": 1}
    raw = json.loads((tmp_path / "o.json").read_text())
    assert len(raw["images"]) == 2  # an image all of whose boxes are unlisted is not an empty one


# --- several runs --------------------------------------------------------------------------------


def test_of_pairs_that_two_runs_have_the_first_is_believed() -> None:
    first, second = kite_record(), dogs_record()
    same = replace(first, record_id="other/name", boxes=())
    clash = replace(second, caption="a dog and a dog", image_sha256="ff" * 32)
    counts: Counter[str] = Counter()
    found = list(merged_records([[first, second], [same, clash]], counts))
    assert [record.record_id for record in found] == ["toy/0", "toy/1", "toy/1~2"]
    assert found[-1].boxes[0].box_id == "toy/1#0~2"
    assert counts[REPEATED] == 1
    assert list(merged_records([[first, first]], counts)) == [first, first]


# --- card ----------------------------------------------------------------------------------------


def test_the_card_says_what_is_in_and_who_made_it(tmp_path: Path) -> None:
    import yaml

    facts = CardFacts(made_with="glipforge 9", corpora=("web",), license="CC-BY-4.0")
    summary = export_records(golden_records(), "goldg", str(tmp_path / "o.json"), card=facts)
    text = (tmp_path / "o.README.md").read_text()
    assert str(tmp_path / "o.README.md") in summary.paths
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "CC-BY-4.0"
    assert head["size_categories"] == ["n<1K"]
    for words in (
        "3 image-caption pairs with 5 boxes",
        "glipforge 9 from web",
        "| fake@0 | 3 |",
        "| default@0 | 3 |",
        "| teacher | 4 |",
        "| human | 1 |",
        "No precision was measured",
        "half-open character offsets",
    ):
        assert words in text, words


@pytest.mark.parametrize("export_format, path", [("coco", "o.json"), ("odvg-detection", "o.jsonl")])
def test_notes_say_which_categories_head_came_to(
    tmp_path: Path, export_format: str, path: str
) -> None:
    known = KnownCategories(names=("cat", "dog"), ids=())
    for own, said in ((known, "2 categories (the run's own list)"), (None, "0 categories (head)")):
        out = str(tmp_path / f"{own is None}-{path}")
        summary = export_records([], export_format, out, known_categories=own)
        assert any(note.startswith(said) for note in summary.notes), summary.notes
