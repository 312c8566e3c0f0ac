from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.gold import load_gold
from pipeline.gold.licenses import readme_license
from tests.pipeline.gold.files import coco_file, write_json


def test_licences_of_images_are_counted(tmp_path: Path) -> None:
    raw = coco_file(
        licenses=[
            {"id": 3, "name": "CC BY 2.0", "url": "http://cc/by\n"},
            {"id": "x", "url": "http://cc/other"},
            {"id": 5, "name": 7},
            None,
        ]
    )
    assert load_gold(write_json(tmp_path / "a.json", raw)).licenses == {}  # no image has one
    raw["images"] = [
        raw["images"][0] | {"id": number, "license": license}
        for number, license in enumerate((3, 3, "x", 5, 99, None, [3]))
    ]
    expected = {"not stated": 4, "CC BY 2.0 (http://cc/by)": 2, "http://cc/other": 1}
    behind = {key: raw[key] for key in ("images", "annotations", "categories", "licenses")}
    for content in (raw, behind):
        gold = load_gold(write_json(tmp_path / "a.json", content))
        assert gold.licenses == expected | {}
    grounding = behind | {"images": [one | {"caption": "a"} for one in raw["images"]]}
    assert load_gold(write_json(tmp_path / "a.json", grounding), "mdetr").licenses == expected


@pytest.mark.parametrize("odd", [None, {"1": "CC"}, "CC", [[]], [{"id": None, "name": "a"}]])
def test_odd_licences_are_nobodys_loss(tmp_path: Path, odd: object) -> None:
    gold = load_gold(write_json(tmp_path / "a.json", coco_file(licenses=odd)))
    assert gold.licenses == {}
    assert gold.counts["boxes"] == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("---\nlicense: cc-by-4.0\n---\n# Pets", "cc-by-4.0"),
        ("---\nlicense: [a, b]\n---\n", ""),
        ("---\n{\n---\n", ""),
        ("# Pets\nlicense: mit", ""),
        ("", ""),
    ],
)
def test_the_licence_of_a_readme(tmp_path: Path, text: str, expected: str) -> None:
    assert readme_license(tmp_path) == ""
    (tmp_path / "README.md").write_text(text)
    assert readme_license(tmp_path) == expected
