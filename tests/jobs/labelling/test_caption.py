"""`glipforge caption`, and `label --captions`: captions are made once, and marked to the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main
from jobs.labelling.corpora.captioned_corpus import CaptionedCorpus, open_captions
from jobs.labelling.corpora.class_corpus import ClassCorpus
from jobs.labelling.corpora.uncaptioned_corpus import UncaptionedCorpus
from jobs.ray_session import ray_session
from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.corpus.joined import open_corpora
from pipeline.labelling.captions import SEPARATOR
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, RecordError
from schemas.records import Annotation, Status
from tests.model.captioners.tiny_captioners import write_captioner

LOCAL = ("--runner", "local", "--device", "cpu", "--max-new-tokens", "8")


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_captioner("blip", tmp_path_factory.mktemp("blip")))


def write_photos(folder: Path, count: int = 4) -> str:
    """Pictures, the first with a caption, and a file that is no picture."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        pixels = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "0.txt").write_text("a red square")
    (folder / "broken.png").write_bytes(b"no picture")
    return str(folder)


def caption(photos: str, out: Path, model: str, *words: str) -> int:
    return main(["caption", photos, "--model", model, "--out", str(out), *LOCAL, *words])


def rows_of(run: Path) -> dict[str, Annotation]:
    store = RunStore(str(run))
    found = [*store.iter_annotations(), *store.iter_quarantine()]
    return {row.record_id: row for row in found}


def test_every_image_is_captioned_once_with_its_captioner_s_hash(
    tmp_path: Path, blip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = write_photos(tmp_path / "photos"), tmp_path / "captions"
    assert caption(photos, out, blip, "--per-image", "3") == 0
    assert f"next: glipforge label --corpus {photos} --captions {out}" in capsys.readouterr().out
    rows = rows_of(out)
    assert set(rows) == {f"photos/{name}.png" for name in (*range(4), "broken")}
    assert rows["photos/broken.png"].status is Status.IMAGE_CORRUPT
    for number in range(4):
        row = rows[f"photos/{number}.png"]
        assert 1 <= len(set(row.caption.split(SEPARATOR))) <= 3
        assert row.caption_origin == "made"
        assert row.teacher_id.startswith("blip@")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert caption(photos, out, blip, "--per-image", "3") == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    other = str(write_captioner("blip", tmp_path / "other", seed=4))
    assert caption(photos, out, other, "--per-image", "3") == 2
    assert "weights_sha256" in capsys.readouterr().err
    assert main(["filter", str(out)]) == 2
    assert "holds captions and no boxes: `glipforge label --captions" in capsys.readouterr().err
    assert main(["status", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "captions 4 images" in shown
    assert "no_phrases" not in shown


def test_made_captions_go_to_images_without_and_are_marked_up_to_the_export(
    tmp_path: Path, blip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out, run = write_photos(tmp_path / "photos"), tmp_path / "captions", tmp_path / "run"
    assert caption(photos, out, blip, "--only-missing") == 0
    shown = capsys.readouterr().out
    assert "captions 3 images, by blip@" in shown
    assert "left     1 images that have a caption of their own" in shown
    assert rows_of(out)["photos/0.png"].caption == ""
    label = ["label", "--corpus", photos, "--runner", "local"]
    assert main([*label, "--out", str(run), "--captions", str(out)]) == 0
    advice = "`glipforge caption` makes captions; --names does without any"
    assert advice in capsys.readouterr().out
    rows = rows_of(run)
    assert rows["photos/0.png"].caption == "a red square"
    assert rows["photos/0.png"].caption_origin == "corpus"
    for number in (1, 2, 3):
        assert rows[f"photos/{number}.png"].caption == rows_of(out)[f"photos/{number}.png"].caption
        assert rows[f"photos/{number}.png"].caption_origin == "made"
    assert "no caption was made" in rows["photos/broken.png"].detail
    assert main([*label, "--out", str(tmp_path / "x"), "--captions", str(run)]) == 2
    assert "is a labelling, not what `glipforge caption` wrote" in capsys.readouterr().err
    policy = tmp_path / "all.json"
    policy.write_text(json.dumps({"name": "all", "score_threshold": 0.0, "min_boxes": 0}))
    command = ["export", str(run), "--policy", str(policy), "--format", "goldg"]
    assert main([*command, "--out", str(tmp_path / "labels.json")]) == 0
    images = json.loads((tmp_path / "labels.json").read_text())["images"]
    assert {row["record_id"]: row.get("caption_origin") for row in images} == {
        name: None if name == "photos/0.png" else "made" for name in rows if "broken" not in name
    }
    card = (tmp_path / "labels.README.md").read_text()
    assert "The captions of 3 pairs were made by a captioner" in card


def test_several_captions_are_several_pairs_and_may_replace_all(tmp_path: Path, blip: str) -> None:
    photos, out = write_photos(tmp_path / "photos"), tmp_path / "captions"
    assert caption(photos, out, blip, "--per-image", "2", "--records-per-unit", "2") == 0
    corpus = CaptionedCorpus.of(open_corpus(photos), open_captions(str(out)), "all")
    made = {
        key: row.caption.split(SEPARATOR)
        for key, row in rows_of(out).items()
        if row.caption_origin == "made"
    }
    wanted = {
        key if len(captions) == 1 else f"{key}/{number}": text
        for key, captions in made.items()
        for number, text in enumerate(captions)
    }
    assert len(wanted) > len(made)
    for size in (1, 3, 100):
        units = corpus.units(size)
        assert all(unit.num_records == -1 for unit in units)
        records = [record for unit in units for record in corpus.read(unit)]
        assert {r.record_id: r.caption for r in records if r.caption} == wanted
        assert [r.error for r in records if not r.caption] == [
            (Status.CAPTION_MISSING, f"no caption was made for it in {out}")
        ]
    Image.new("RGB", (64, 64)).save(Path(photos) / "new.png")
    with pytest.raises(ConfigError, match="1 files differ, the first"):
        CaptionedCorpus.of(open_corpus(photos), open_captions(str(out)), "all")


def test_what_an_untrusted_corpus_may_read_is_kept_with_other_captions(tmp_path: Path) -> None:
    photos = [write_photos(tmp_path / name, 1) for name in ("a", "b")]
    options = CorpusOptions(untrusted=True)
    joined = open_corpora(photos, options)
    for corpus in (ClassCorpus(joined, "cat."), UncaptionedCorpus(joined, only_missing=False)):
        assert corpus.access.untrusted
        for folder in photos:
            corpus.access.require(f"{folder}/0.png")
        with pytest.raises(RecordError, match="is not below the corpus"):
            corpus.access.require("/etc/hostname")


@pytest.mark.parametrize(
    "words, said",
    [
        (["--captions", "nowhere"], "--captions must be all, first, none, or a folder that"),
        (["--captions", "{captions}", "--names", "cat"], "give captions or names, not both"),
    ],
)
def test_wrong_captions_are_a_sentence(
    words: list[str],
    said: str,
    tmp_path: Path,
    blip: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos, out = write_photos(tmp_path / "photos", 1), tmp_path / "c"
    label = ["label", "--corpus", photos, "--runner", "local", "--out"]
    if "{captions}" in words:
        caption(photos, out, blip)
    given = [word.replace("{captions}", str(out)) for word in words]
    assert main([*label, str(tmp_path / "x"), *given]) == 2
    assert said in capsys.readouterr().err


def test_a_corpus_reads_no_folder_as_captions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_photos(tmp_path / "photos", 1)
    assert main(["corpus", "check", photos, "--captions", "some"]) == 2
    assert "--captions must be all, first or none, got 'some'" in capsys.readouterr().err


def test_a_killed_captioning_goes_on(tmp_path: Path, blip: str) -> None:
    photos, out = write_photos(tmp_path / "photos", 60), tmp_path / "captions"
    words = ["--records-per-unit", "2", *LOCAL]
    command = [sys.executable, "-m", "jobs", "caption", photos, "--model", blip]
    process = subprocess.Popen([*command, "--out", str(out), *words], stdout=subprocess.DEVNULL)
    markers = out / "_commits"
    try:
        end = time.monotonic() + 600
        while len(list(markers.glob("*.json"))) < 3 and time.monotonic() < end:
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = {path.name: path.read_bytes() for path in markers.glob("*.json")}
    assert 0 < len(before) < 31
    assert caption(photos, out, blip, "--records-per-unit", "2") == 0
    assert {name: (markers / name).read_bytes() for name in before} == before
    assert len(rows_of(out)) == 61
    whole = tmp_path / "whole"
    assert caption(photos, whole, blip) == 0
    assert {k: r.caption for k, r in rows_of(whole).items()} == {
        k: r.caption for k, r in rows_of(out).items()
    }


@pytest.mark.slow
@pytest.mark.ray
def test_on_ray_the_captions_are_the_same(tmp_path: Path, blip: str) -> None:
    photos = write_photos(tmp_path / "photos", 12)
    words = ["--per-image", "2", "--records-per-unit", "3"]
    assert caption(photos, tmp_path / "local", blip, *words) == 0
    with ray_session(num_cpus=2):
        command = ["caption", photos, "--model", blip, "--out", str(tmp_path / "ray")]
        assert main([*command, "--device", "cpu", "--max-new-tokens", "8", *words]) == 0
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")
