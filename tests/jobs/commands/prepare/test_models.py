from __future__ import annotations

import json

from jobs.cli import main


def test_presets_and_files_are_listed(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    for expected in ("glip-nano", "231.8 M", "glip_large_model.pth", "not verified: GLIPModel/"):
        assert expected in text


def test_the_list_as_json(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [preset["preset"] for preset in listed["presets"]] == [
        "glip-t-a",
        "glip-t",
        "glip-l",
        "glip-nano",
    ]
    assert listed["published"][0]["coco_zero_shot"] == 42.9
