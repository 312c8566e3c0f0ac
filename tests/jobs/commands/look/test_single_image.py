from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import model.teacher.load
import pipeline.phrases.extract
from jobs import cli, single_image
from schemas.errors import ConfigError
from schemas.records import Phrase
from tests.model.fake_network import fake_teacher

CAPTION = "a red thing [here] over blue"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = np.full((128, 128, 3), 110, np.uint8)
    image[32:64, 32:64] = (255, 0, 0)
    path = tmp_path / "scene.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(directory, *, device, options):
        return fake_teacher(score_floor=options.score_floor)[0]

    def extract(caption: str) -> tuple[Phrase, ...]:
        words = ("a red thing [here]", "blue")
        starts = [caption.index(word) for word in words if word in caption]
        return tuple(
            Phrase(text=caption[s : s + len(w)], start=s, end=s + len(w))
            for s, w in zip(starts, words, strict=False)
        )

    monkeypatch.setattr(model.teacher.load, "load_teacher", load)
    monkeypatch.setattr(pipeline.phrases.extract, "extract_phrases", extract)


def _run(*args: object) -> int:
    return cli.main([str(arg) for arg in args])


@pytest.mark.parametrize(
    "args, message",
    [
        (("ground", "absent.png", "a dog"), "image 'absent.png': "),
        (("ground", "{picture}", "  "), "caption must not be empty"),
        (("ground", "{picture}", "dog", "--threshold", "2"), "threshold must be in [0, 1], got 2"),
        (("ground", "{picture}", "dog", "--out", "no/where.png"), "there is no folder 'no'"),
        (("ground", "{picture}", "dog", "--out", "where.gif"), "out must end with .png"),
        (("detect", "{picture}", "--names", " , ,"), "names has no name in it, got ' , ,'"),
        (("detect", "{picture}", "--names", "@absent.txt"), "names: cannot read the file"),
    ],
)
def test_wrong_usage_is_said(
    args: tuple[str, ...],
    message: str,
    picture: Path,
    teacher: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _run(*(arg.format(picture=picture) for arg in args)) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_image_is_refused(
    tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.png"
    path.write_text("not an image")
    assert _run("ground", path, "a dog") == 2
    assert "text.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 400), "1 x 400 pixels; the shorter side must have at least 8"),
        ((20000, 7), "20000 x 7 pixels; the shorter side must have at least 8"),
        ((20000, 40), "20000 x 40 pixels; the longer side may be at most 100 times the shorter"),
        ((31, 9), ""),
        ((20000, 200), ""),
    ],
)
@pytest.mark.parametrize("command", [("ground", "red"), ("detect", "--names", "red")])
def test_images_of_extreme_sizes_are_read_or_refused_by_name(
    command: tuple[str, ...],
    size: tuple[int, int],
    message: str,
    teacher: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "x.png")
    done = _run(command[0], tmp_path / "x.png", *command[1:], "--out", tmp_path / "a.png")
    assert (done, (tmp_path / "a.png").exists()) == ((2, False) if message else (0, True))
    assert f"x.png': {message}" in capsys.readouterr().err if message else True


@pytest.mark.parametrize("names", ["(a), (b)", "😀", "red " * 300])
def test_names_that_nothing_can_be_asked_for_are_in_the_answer(
    names: str, picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.png"
    assert _run("detect", picture, "--names", names, "--json", "--out", out) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [phrase["text"] for phrase in answer["phrases"]] == names.strip().split(", ")
    assert answer["boxes"] == []
    assert {phrase["status"] for phrase in answer["phrases"]} == {"truncated"}


def test_ground_prints_a_table_and_saves_a_picture(
    picture: Path,
    teacher: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run("ground", picture, CAPTION, "--threshold", "0.3") == 0
    shown = capsys.readouterr().out
    assert "teacher fake@000000000000" in shown
    assert "a red thing [here]" in shown  # brackets are not markup
    assert "32 32 64 64" in shown
    assert "nothing over 0.3" in shown
    saved = Image.open(tmp_path / "scene-ground.png")
    assert saved.width == 320
    assert saved.height > 128


def test_ask_shows_the_best_box_of_each_thing(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.png"
    options = ("--json", "--threshold", "0.05", "--out", out)
    assert _run("ground", picture, CAPTION, *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert _run("ask", picture, CAPTION, *options) == 0
    answer = json.loads(capsys.readouterr().out)
    best = {box["phrase_index"]: box for box in reversed(found["boxes"])}
    assert answer["boxes"] == sorted(best.values(), key=lambda box: -box["score"])
    assert _run("ask", picture, " ") == 2
    assert "question must not be empty" in capsys.readouterr().err


def test_ground_prints_json(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("ground", picture, CAPTION, "--json", "--out", tmp_path / "a.jpg") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["phrases"][0]["span"] == [0, 18]
    assert CAPTION[slice(*answer["phrases"][1]["span"])] == answer["phrases"][1]["text"]
    assert {box["phrase_index"] for box in answer["boxes"]} == {0}
    assert (tmp_path / "a.jpg").stat().st_size > 0


def test_a_full_disk_is_said_as_everywhere(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.png"
    out.symlink_to("/dev/full")
    assert _run("ground", picture, CAPTION, "--out", out) == 2
    said = capsys.readouterr().err
    assert f"cannot write '{out}'" in said
    assert "the disk is full" in said
    assert "Errno" not in said


def test_a_caption_without_phrases_still_makes_a_picture(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("ground", picture, "😀", "--out", tmp_path / "a.png") == 0
    assert "no noun phrase to look for" in capsys.readouterr().out
    assert (tmp_path / "a.png").exists()


def test_detect_names_what_it_could_not_ask(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.png"
    assert _run("detect", picture, "--names", "red, (x), blue", "--out", out) == 0
    shown = capsys.readouterr().out
    assert "32 32 64 64" in shown
    assert "not seen" in shown
    assert Image.open(out).size == (128, 128)


def test_names_have_wordings_and_competitors_as_for_a_labelling(
    picture: Path, teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "names.txt"
    file.write_text("thing: red, blue\nother: -red\n", encoding="utf-8")
    assert (
        _run("detect", picture, "--names", f"@{file}", "--json", "--out", tmp_path / "a.png") == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert [phrase["text"] for phrase in answer["phrases"]] == ["thing", "other"]
    assert {box["phrase_index"] for box in answer["boxes"]} == {0}


def test_a_class_whose_boxes_all_went_to_a_competitor_says_so(
    teacher: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = np.full((128, 128, 3), 110, np.uint8)
    image[32:64, 32:64] = (255, 150, 0)  # more red than green
    Image.fromarray(image).save(tmp_path / "orange.png")
    options = ("--threshold", "0.05", "--out", tmp_path / "a.png")
    assert _run("detect", tmp_path / "orange.png", "--names", "leaf: green, -red", *options) == 0
    shown = capsys.readouterr().out
    assert "a competitor fits better" in shown
    assert "nothing over" not in shown


@pytest.mark.parametrize(
    "uri, expected",
    [
        ("a/b c.jpg", "b_c-ground.png"),
        ("https://host/x/y.png?size=3", "y-ground.png"),
        ("shards/00.tar#dir/7.jpg", "7-ground.png"),
        ("/", "image-ground.png"),
    ],
)
def test_the_picture_is_named_after_the_image(uri: str, expected: str) -> None:
    assert single_image.output_path(None, uri, "ground") == Path(expected)


def test_a_threshold_that_is_no_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"threshold must be in \[0, 1\], got -0.1"):
        single_image.check_threshold(-0.1)


def test_a_caption_of_5000_words_with_the_real_parser(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setattr(
        model.teacher.load,
        "load_teacher",
        lambda directory, *, device, options: fake_teacher(score_floor=options.score_floor)[0],
    )
    caption = "There was a red car in the room today. " * 560
    assert _run("ground", picture, caption, "--json", "--out", tmp_path / "a.png") == 0
    answer = json.loads(capsys.readouterr().out)
    cars = [phrase for phrase in answer["phrases"] if phrase["text"] == "a red car"]
    assert len(cars) == 560
    assert all(phrase["status"] == "ok" and phrase["best_score"] > 0.4 for phrase in cars)


def test_ground_with_a_saved_network_and_the_real_parser(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from model.config import get_preset
    from model.files.directory import save_pretrained
    from model.network.glip import Glip

    directory = save_pretrained(Glip(get_preset("glip-toy")), tmp_path / "toy")
    out = tmp_path / "a.png"
    caption = "A brown horse eats grass."
    assert _run("ground", picture, caption, "--teacher", directory, "--out", out, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["teacher"].startswith("glip-toy@")
    assert [phrase["text"] for phrase in answer["phrases"]] == ["A brown horse", "grass"]
    assert all(phrase["best_score"] > 0 for phrase in answer["phrases"])
