"""A teacher of NaN weights: every row says that the teacher failed, none that nothing is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.cli import main
from model.config import get_preset
from model.files.directory import save_pretrained
from model.network.glip import Glip
from tests.jobs.fake_label import all_rows


@pytest.mark.parametrize("layer", ["box", "text_projection"])
def test_every_row_of_a_nan_teacher_failed(
    layer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = Glip(get_preset("glip-toy"))
    with torch.no_grad():
        network.head.bias0.fill_(-1.0)  # so that there are candidates whose boxes are looked at
        getattr(network.head, layer).weight.fill_(float("nan"))
    save_pretrained(network, tmp_path / "teacher")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(image).save(corpus / f"{number}.png")
        (corpus / f"{number}.txt").write_text("a red dog on the grass")
    run = tmp_path / "run"
    args = ["label", "--corpus", str(corpus), "--out", str(run), "--runner", "local"]
    assert main([*args, "--teacher", str(tmp_path / "teacher"), "--device", "cpu"]) == 1
    rows = all_rows(run)
    assert Counter(row.status for row in rows) == {"teacher_failed": 4}
    assert all("NaN" in row.detail for row in rows)
    assert "teacher_failed" in capsys.readouterr().out

    picture = str(corpus / "0.png")
    asked = ["detect", picture, "--names", "dog", "--json", "--threshold", "0.1"]
    asked += ["--out", str(tmp_path / "x.png")]
    assert main([*asked, "--teacher", str(tmp_path / "teacher"), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "NaN" in said.err
