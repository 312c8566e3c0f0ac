"""What stands first in a corpus may be broken or missing: that costs its own rows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError, RecordError
from tests.corpus_builders import picture_bytes
from tests.pipeline.corpus.test_odd_corpora import read, write


def test_a_file_may_begin_with_many_broken_lines(tmp_path: Path) -> None:
    good = json.dumps({"image": "x.png", "caption": "a dog"}) + "\n"
    write(tmp_path / "x.jsonl", "# a note\n" * 60 + good * 2)
    found = read(tmp_path)
    assert [record.error is None for record in found] == [False] * 60 + [True] * 2


def test_lines_of_json_in_utf16_are_said(tmp_path: Path) -> None:
    line = json.dumps({"image": "x.png", "caption": "a dog"}) + "\n"
    write(tmp_path / "x.jsonl", line.encode("utf-16"))
    with pytest.raises(ConfigError, match="UTF-16; save it as UTF-8"):
        read(tmp_path)


def test_a_file_of_another_machine_is_not_one_of_this(tmp_path: Path) -> None:
    write(tmp_path / "x.png", b"")
    for host in ("", "localhost"):
        assert read_image_uri(f"file://{host}{tmp_path}/x.png") == b""
    with pytest.raises(RecordError, match="a file of the machine 'elsewhere'"):
        read_image_uri(f"file://elsewhere{tmp_path}/x.png")


@pytest.mark.parametrize("kind", ["coco", "lines"])
def test_that_the_first_images_are_missing_costs_their_rows(kind: str, tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(12)]
    (tmp_path / "pictures").mkdir()
    for name in names[8:]:
        write(tmp_path / "pictures" / name, picture_bytes())
    rows = [{"image": name, "caption": "a dog"} for name in names]
    if kind == "coco":
        (tmp_path / "pictures").rename(tmp_path / "images")
        images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
        captions = [{"image_id": n, "caption": "a dog"} for n in range(12)]
        write(tmp_path / "captions.json", {"images": images, "annotations": captions})
        found = read(tmp_path / "captions.json")
    else:
        write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, rows)))
        found = read(tmp_path / "x.jsonl")
    there = [os.path.exists(record.image_uri or "") for record in found]
    assert there == [False] * 8 + [True] * 4


def test_links_that_go_round_cost_no_other_image(tmp_path: Path) -> None:
    folder, other = tmp_path / "corpus", tmp_path / "corpus" / "b"
    (folder / "a").mkdir(parents=True)
    other.mkdir()
    write(folder / "0.png", picture_bytes())
    write(other / "1.png", picture_bytes())
    links = {"x.png": "x.png", "round": ".", "up": "..", "a/to_b": "../b", "b/to_a": "../a"}
    for name, target in links.items():
        os.symlink(target, folder / name)
    names = [(record.image_uri or "").removeprefix(f"{folder}/") for record in read(folder)]
    assert sorted(names) == ["0.png", "a/to_b/1.png", "b/1.png"]
