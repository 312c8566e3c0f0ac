"""A run whose every word was written by somebody hostile: no command lets one act on a terminal."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from functools import partial
from pathlib import Path

import pytest
import yaml

from jobs.cli import main as glipforge
from jobs.safe_output import SafeOutput, safe_output
from pipeline.curation.decisions import append_decisions
from pipeline.curation.pushed import Pushed, write_pushed
from schemas.fingerprint import sha256_bytes
from schemas.records import Status
from tests.jobs.toy_run import AWAY, BLUE, RED, draw_picture
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation, make_box, make_decision, make_phrase

BAD = "\x1b[2J\x1b]0;own\x07\x9b31m\u202e\r[red]{x: &a !!python/object} --- # </b>'\"|`"
NAME = BAD.replace("/", "_")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COMMANDS = [
    ["status", "RUN"],
    ["status", "RUN", "--json"],
    ["filter", "RUN"],
    ["filter", "RUN", "--policy", f"HERE/policy{NAME}.json"],
    ["filter", "RUN", "--policy", "glip", "--policy", "grit", "--compare"],
    ["filter", "RUN", "--policy", BAD],
    ["filter", "RUN", f"--{BAD}"],
    ["enrich", "RUN", "--with", "duplicates", "--runner", "local"],
    ["audit", "RUN", "--size", "2", "--strata", "phrase"],
    ["queue", "RUN"],
    ["queue", "RUN", "--json"],
    ["leakage", "RUN", "--against", "HERE/images"],
    ["report", "RUN"],
    ["prune", "RUN", "--out", "HERE/new"],
    ["search", "RUN", "box"],
    ["search", "RUN", "box", "--json"],
    ["search", "RUN", BAD],
    ["sql", "RUN", "select * from boxes"],
    ["sql", "RUN", f"select '{BAD[:4]}'", "--format", "csv"],
    ["compare", "RUN", "RUN"],
    ["evaluate", "--run", "RUN", "--gold", "HERE/coco.json"],
    ["validate", "HERE/coco.json"],
    ["import", "HERE/coco.json", "--out", "HERE/imported"],
    ["corpus", "check", "HERE/images"],
    ["review", "agree", "RUN"],
    ["export", "RUN", "--format", "yolo", "--out", "HERE/yolo"],
    ["export", "RUN", "--format", "hf-imagefolder", "--out", "HERE/hf"],
    ["label", "--corpus", f"HERE/{NAME}", "--out", "HERE/none"],
    [f"filter{BAD}"],
]


def _hostile(here: Path) -> None:
    caption, rows = f"a red box{BAD} and a blue box", []
    for number, places in enumerate(((RED, BLUE, AWAY), ())):
        path = here / "images" / f"{number}{NAME}.png"
        draw_picture(path)
        record_id = f"toy/{BAD}/{number}"
        rows.append(
            make_annotation(
                record_id=record_id,
                image_uri=str(path),
                image_sha256=sha256_bytes(path.read_bytes()),
                caption=caption,
                phrases=(
                    make_phrase(caption, f"a red box{BAD}", head=f"box{BAD}", best_score=0.9),
                    make_phrase(caption, "a blue box", head="box", best_score=0.8),
                ),
                boxes=tuple(
                    make_box(box_id=f"{record_id}#{n}", phrase_index=n % 2, xyxy=xyxy, score=0.9)
                    for n, xyxy in enumerate(places)
                ),
                status=Status.OK if places else Status.NO_BOXES,
            )
        )
    run = folder_run(here / "run", rows)
    box = rows[0].boxes[0]
    append_decisions(
        run,
        [make_decision(record_id=rows[0].record_id, box_id=box.box_id, reviewer=f"ann{BAD}")],
    )
    write_pushed(run, Pushed(dataset=f"d{BAD}", pairs=1, boxes=1))
    marker = here / "run" / "_commits" / "u0.json"
    said = json.loads(marker.read_text()) | {"teacher_id": f"fake{BAD}"}
    marker.write_text(json.dumps(said | {"examples": {"image_missing": BAD}}))
    (here / f"policy{NAME}.json").write_text(json.dumps({"name": "mine", "base": "default"}))
    gold = {
        "images": [{"id": 0, "file_name": rows[0].image_uri, "width": 64, "height": 48}],
        "annotations": [{"id": 1, "image_id": 0, "bbox": [4, 6, 20, 24], "category_id": 1}],
        "categories": [{"id": 1, "name": f"box{BAD}"}],
    }
    (here / "coco.json").write_text(json.dumps(gold))


def test_no_command_repeats_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _hostile(tmp_path)
    for words in COMMANDS:
        typed = [w.replace("RUN", f"{tmp_path}/run").replace("HERE", str(tmp_path)) for w in words]
        try:
            code = glipforge(typed)
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = "".join(capsys.readouterr())
        assert code in (0, 1, 2), words
        assert said, words
        assert CONTROL.search(said) is None, (words, said)
        assert "Traceback" not in said
    for page in ("run/report.html", "run/policies.html", "yolo/data.yaml", "hf/README.md"):
        assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", (tmp_path / page).read_text()) is None
    names = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())["names"]
    assert f"box{BAD}".lower() in {name.lower() for name in names.values()}
    head = (tmp_path / "hf" / "README.md").read_text().split("---\n")[1]
    assert set(yaml.safe_load(head)) >= {"license", "task_categories"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_pass_to_a_terminal_only() -> None:
    words = "\x1b[36m(worker)\x1b[0m \x1b[2J\x9b\r done\n"
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        assert SafeOutput(stream).write(words) == len(words)
    assert terminal.getvalue() == "\x1b[36m(worker)\x1b[0m \\x1b[2J\\u009b\\x0d done\n"
    assert file.getvalue() == "(worker) \\x1b[2J\\u009b\\x0d done\n"


def test_json_keeps_its_meaning() -> None:
    out = io.StringIO()
    print(json.dumps({"id": BAD + "\x7f"}, ensure_ascii=False), file=SafeOutput(out))
    assert CONTROL.search(out.getvalue()) is None
    assert json.loads(out.getvalue()) == {"id": BAD + "\x7f"}


def test_a_table_draws_on_a_terminal_and_bars_move() -> None:
    from rich.console import Console

    from jobs.progress_bar import LineBar

    terminal = Terminal()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal), safe_output():
        Console(force_terminal=True).print("[red]drawn[/red] \x1b]0;own\x07")
        bar = LineBar()
        bar.show(0.5, f"half {BAD}")
        bar.show(0.6, "more")
        bar.end()
    drawn = terminal.getvalue()
    assert "\x1b[31mdrawn" in drawn
    assert "\x1b[2K" in drawn  # the line is cleared and drawn anew
    assert "\x1b]0;" not in drawn
    assert "\x1b[2J" not in drawn
    assert "\x9b" not in drawn


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_bars_of_other_libraries_stay_in_their_line(kind: type[io.StringIO]) -> None:
    from tqdm import tqdm

    stream, safe = kind(), kind()
    for file in (stream, SafeOutput(safe)):
        bar = partial(tqdm, range(2), file=file, bar_format="{n}", mininterval=0, miniters=1)
        for _ in bar():
            for _ in bar(leave=False):
                pass
        print("\r  \r", end="", file=file)  # as eta, the bars of FiftyOne
        print(f"{BAD}\r", end="\r", file=file)
    drawn, hostile = safe.getvalue().split("\r  \r")
    before = stream.getvalue().split("\r  \r")[0]
    assert drawn == (before if kind is Terminal else before.replace("\x1b[A", ""))
    assert CONTROL.search(hostile[:-1]) is None
    assert hostile.endswith("\\x0d\r")


def test_a_bar_within_a_bar_is_drawn() -> None:
    from jobs.progress_bar import LineBar, reading_bar

    terminal = Terminal()
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal), safe_output():
        bar = LineBar()
        bar.show(0.5, "outer")
        with safe_output(), reading_bar("inner", 3) as tell:
            tell(3)
        bar.end()
    assert "inner" in terminal.getvalue()
    assert "\\x1b" not in terminal.getvalue()


def test_csv_for_a_file_keeps_line_ends_and_directions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_run(tmp_path / "run", ())
    words = "chr(8235) || '\u05d0 \U0001f469' || chr(13) || chr(10) || chr(27) || '[2J'"
    assert glipforge(["sql", f"{tmp_path}/run", f"select {words} c", "--format", "csv"]) == 0
    said = capsys.readouterr().out
    assert list(csv.reader(io.StringIO(said, newline="")))[1:] == [
        ["\u202b\u05d0 \U0001f469\r\n\\x1b[2J"]
    ]


def test_a_closed_output_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", None)
        assert glipforge(["--version"]) == 0
        assert glipforge(["no-such-command"]) == 2


def test_a_traceback_is_safe_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: object) -> int:
        raise RuntimeError(BAD)

    monkeypatch.setattr("jobs.cli._run_command", fault)
    monkeypatch.setattr("sys.argv", ["glipforge", "status", "RUN"])
    assert glipforge() == 1
    said = capsys.readouterr().err
    assert "RuntimeError: \\x1b[2J" in said
    assert CONTROL.search(said) is None
