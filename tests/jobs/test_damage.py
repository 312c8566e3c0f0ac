"""Damaged files of our own, and files of others that claim to be ours: sentences, never more."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.cli import main as glipforge
from pipeline.run.store import RunStore
from schemas.errors import GlipforgeError
from tests.jobs.damage_fuzz import Damaged
from tests.jobs.toy_run import toy_rows, write_gold
from tests.pipeline.corpus.fuzz import memory_folder
from tests.pipeline.folder_run import folder_run


def test_mutations_end_in_a_sentence(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A part of what `python -m tests.jobs.damage_fuzz` does."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        damaged = Damaged(Path(folder), seed=2026)
        for number in range(2000):
            damaged.case(number)
    assert damaged.outcomes["export 1"] > 20
    assert damaged.outcomes["filter 2"] > 20


def _change(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "path",
    [
        "../victim.txt",
        "/etc/passwd",
        "annotations/../../victim.txt",
        "annotations/../_plan.json",
        "annotations\\x.parquet",
        "annotations/x.parquet/y.parquet",
        "_plan.json",
        "",
    ],
)
def test_a_marker_of_others_reaches_nothing_outside(path: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "victim.txt").write_text("here")
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    marker = tmp_path / "run" / "_commits" / "u0.json"
    _change(marker, lambda content: content["files"][0].update(path=path))
    with pytest.raises(GlipforgeError, match="files.path must be annotations/NAME.parquet"):
        RunStore(run.uri).recover()
    assert glipforge(["status", run.uri]) == 1
    assert "delete it, and `glipforge label` does its unit again" in capsys.readouterr().err
    assert (tmp_path / "victim.txt").read_text() == "here"
    assert (tmp_path / "run" / "_plan.json").exists()


@pytest.mark.parametrize("attempt", ["../../x", "a/b", "", "/x"])
def test_an_attempt_of_others_is_no_path(attempt: str, tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    _change(tmp_path / "run/_commits/u0.json", lambda content: content.update(attempt=attempt))
    with pytest.raises(GlipforgeError, match="attempt must be letters, digits"):
        RunStore(run.uri).recover()


def test_a_folder_that_leads_out_of_the_run_is_not_emptied(tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    (tmp_path / "run" / "annotations").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "annotations").symlink_to(tmp_path / "elsewhere")
    victim = tmp_path / "elsewhere" / "u0.parquet"
    victim.write_bytes(b"somebody's")
    with pytest.raises(GlipforgeError, match="leads out of the run"):
        RunStore(run.uri).recover()
    assert victim.read_bytes() == b"somebody's"


def test_a_staging_folder_of_others_is_not_emptied(tmp_path: Path) -> None:
    run = RunStore(folder_run(tmp_path / "run", toy_rows(tmp_path)).uri)
    victim = tmp_path / "elsewhere" / "thesis.txt"
    victim.parent.mkdir()
    victim.write_text("here")
    staging = tmp_path / "run" / "_staging"
    staging.symlink_to(victim.parent)
    with pytest.raises(GlipforgeError, match="_staging leads out of the run"):
        run.committer.clean(run.read_markers(["u0"]).values())
    assert victim.read_text() == "here"


def test_a_curation_of_others_is_not_tidied(tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    assert glipforge(["filter", run.uri]) == 0
    (folder,) = (tmp_path / "run" / "curated").iterdir()
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    victims = [elsewhere / name for name in ("table.parquet", ".hidden")]
    for victim in victims:
        victim.write_text("here")
    (elsewhere / "manifest.json").write_text("{}")
    assert glipforge(["filter", run.uri]) == 1
    assert [victim.read_text() for victim in victims] == ["here", "here"]


def test_a_plan_of_others_names_no_path(tmp_path: Path, capsys) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    _change(tmp_path / "run/_plan.json", lambda content: content["units"][0].update(unit_id="../x"))
    assert glipforge(["status", run.uri]) in (1, 2)
    assert "unit_id '../x' must be letters, digits" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../../victim.parquet", "/etc/x.parquet", "..parquet", ""])
def test_a_manifest_of_others_names_no_path(name: str, tmp_path: Path, capsys) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    assert glipforge(["filter", run.uri]) == 0
    (manifest,) = (tmp_path / "run" / "curated").glob("*/manifest.json")
    _change(manifest, lambda content: content["files"][0].update(name=name))
    from pipeline.curation.curate import iter_curated

    with pytest.raises(GlipforgeError, match="must be the name of a Parquet file beside it"):
        list(iter_curated(run, "default"))


def test_numbers_and_texts_that_json_and_utf8_cannot_say(tmp_path: Path, capsys) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    marker = tmp_path / "run" / "_commits" / "u0.json"
    _change(marker, lambda content: content["examples"].update(image_missing="\ud800.jpg"))
    assert glipforge(["report", run.uri]) == 0
    assert "\\ud800.jpg" in (tmp_path / "run" / "report.html").read_text()
    _change(marker, lambda content: content["seconds"].update(teacher=float("nan")))
    assert glipforge(["report", run.uri]) == 1
    assert "seconds.teacher must be a number, got nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number, said",
    [
        (errno.ENOSPC, "Make room and repeat the command"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "check the owner and mode"),
        (errno.EIO, "input/output error"),
        (errno.ENAMETOOLONG, "name is too long"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("command", ["filter", "export", "report"])
def test_what_the_disk_says_is_a_sentence(
    number: int, said: str, call: str, command: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    words = {
        "filter": ["filter", run.uri],
        "export": ["export", run.uri, "--format", "coco", "--out", str(tmp_path / "out.json")],
        "report": ["report", run.uri],
    }[command]

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, refuse)
        code = glipforge(words)
        error = capsys.readouterr().err
    assert code in (1, 2)
    assert said in error, error
    assert "Traceback" not in error
    assert glipforge(words) == 0  # nothing of it is in the way


WRITERS = {
    "import": ["import", "{here}/coco.json", "--out", "{here}/new"],
    "prune": ["prune", "{run}", "--out", "{here}/new"],
    "enrich": ["enrich", "{run}", "--with", "duplicates", "--runner", "local"],
    "audit": ["audit", "{run}", "--size", "2"],
    "leakage": ["leakage", "{run}", "--against", "{here}/images"],
    "compare": ["filter", "{run}", "--policy", "glip", "--policy", "grit", "--compare"],
    "evaluate": [
        "evaluate",
        "--run",
        "{run}",
        "--gold",
        "{here}/coco.json",
        "--out",
        "{here}/e.json",
    ],
    "yolo": ["export", "{run}", "--format", "yolo", "--out", "{here}/yolo"],
    "goldg": ["export", "{run}", "--out", "{here}/x.json", "--copy-images", "{here}/copies"],
}
"""Commands that write in other ways than those above."""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENAMETOOLONG])
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_says_what_the_disk_says(
    name: str, number: int, tmp_path: Path, monkeypatch, capsys
) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    write_gold(tmp_path, detection=True)
    words = [word.format(run=run.uri, here=tmp_path) for word in WRITERS[name]]
    refused = 0

    def refuse(call: Callable[..., object]) -> Callable[..., object]:
        def refusing(*args: object, **options: object) -> object:
            nonlocal refused
            refused += 1
            if refused >= 2:  # the probe of a place may succeed, and the work then fail
                raise OSError(number, os.strerror(number), str(args[0]))
            return call(*args, **options)

        return refusing

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", refuse(os.replace))
        broken.setattr(os, "fsync", refuse(os.fsync))
        code = glipforge(words)
        error = capsys.readouterr().err
    assert refused >= 2
    assert code in (1, 2)
    assert "Traceback" not in error
    assert error.startswith("glipforge "), error
    assert glipforge(words) == 0, capsys.readouterr().err  # nothing of it is in the way


def test_escapes_and_keys_do_not_reach_the_terminal(tmp_path: Path, capsys) -> None:
    corpus = tmp_path / "x.jsonl"
    url = "http://me:secret@127.0.0.1:9/x.jpg?X-Amz-Signature=secret"
    lines = [
        {"image": url, "caption": "a dog", "id": "a"},
        {"image": ["\x1b[2Jx.jpg"], "caption": "\x1b[2J a dog", "id": "\x1b]0;title\x07"},
    ]
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for options in ([], ["--json"]):
        assert glipforge(["corpus", "check", str(corpus), *options]) == 1
        said = "".join(capsys.readouterr())
        assert "secret" not in said
        assert "\x1b" not in said
        assert "127.0.0.1:9" in said
