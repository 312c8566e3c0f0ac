"""An address that is none, that nobody answers at, or that holds something else than a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.cli import main as glipforge

ALLOWED = "a run or a corpus is a path, or a URL such as s3://bucket/key"
COMMANDS = [
    ["status"],
    ["filter"],
    ["report"],
    ["export", "--format", "goldg", "--out", "x.json"],
    ["enrich", "--with", "duplicates"],
    ["corpus", "check"],
]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9/RUN", (r"http://127.0.0.1:9/RUN", "cannot be reached: ", ALLOWED)),
        ("http://me:secret@127.0.0.1:9/R?sig=secret", ("http://***@127.0.0.1:9/R",)),
        ("http://[::1", ("http://[::1",)),
        ("hf://x", ("hf://x", "Repository id must be 'namespace/name'", ALLOWED)),
        ("s3://", ("s3://", "bucket")),
        ("", ("must be a path", "got ''")),
        ("notes.txt", ("notes.txt",)),
    ],
)
def test_the_answer_names_the_address(
    address: str,
    said: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("not a run")
    for command in COMMANDS:
        if address == "hf://x" and command[0] != "corpus":
            continue  # asks the network
        assert glipforge([*command, address]) in (1, 2)
        words = capsys.readouterr().err
        assert all(part in words for part in said), (command, words)
        assert "Traceback" not in words
        assert "Errno" not in words
        assert "secret" not in words


def test_a_file_is_not_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("")
    assert glipforge(["filter", str(tmp_path / "x")]) == 2
    assert (
        "is a file; a labelling run is the folder that holds _plan.json" in capsys.readouterr().err
    )
