from __future__ import annotations

import json
import resource

import onnx
import pytest
import torch

from jobs.cli import main
from model.config import get_preset
from model.files.directory import save_pretrained
from model.files.official_file import read_checkpoint
from model.files.official_names import to_official
from model.files.pretrained import load_pretrained
from model.interop.onnx_export import compare_onnx
from model.network.glip import Glip
from tests.parity.weights import recipe_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = Glip(get_preset("glip-toy"))
    path = tmp_path_factory.mktemp("official") / "toy.pth"
    torch.save({"model": to_official(model.state_dict(), model.config)}, path)
    return path


def _convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def test_there_and_back(checkpoint, tmp_path, capsys):
    out, back = tmp_path / "model", tmp_path / "back.pth"
    assert _convert(checkpoint, "--preset", "glip-toy", "--out", out) == 0
    assert f"--teacher {out}" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "model.safetensors",
        "vocab.txt",
    }
    assert _convert(out, "--to-official", "--out", back) == 0
    first, again = read_checkpoint(checkpoint), read_checkpoint(back)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_nothing_is_written_when_something_does_not_fit(checkpoint, tmp_path, capsys):
    out = tmp_path / "model"
    assert _convert(checkpoint, "--preset", "glip-t", "--out", out) == 2
    message = capsys.readouterr().err
    assert "toy.pth does not fit glip-t:" in message
    assert "first backbone.body.layers.0.blocks.1.norm1.weight" in message
    assert not out.exists()


def test_a_disk_that_takes_no_more_is_a_sentence_and_nothing_is_left(checkpoint, tmp_path, capsys):
    out = tmp_path / "model"
    words = (checkpoint, "--preset", "glip-toy", "--out", out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        assert _convert(*words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{out} cannot be written: " in capsys.readouterr().err
    assert not out.exists()
    assert _convert(*words) == 0


def test_what_is_there_is_never_overwritten(checkpoint, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert _convert(checkpoint, "--preset", "glip-toy", "--out", tmp_path) == 2
    assert "is there already" in capsys.readouterr().err
    assert _convert(tmp_path, "--to-official", "--out", tmp_path / "file") == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_where_nothing_can_be_written_is_named(checkpoint, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert _convert(checkpoint, "--preset", "glip-toy", "--out", tmp_path / "file" / "x") == 2
    assert "file/x cannot be written: " in capsys.readouterr().err


def test_an_unknown_preset_lists_the_known_ones(checkpoint, tmp_path, capsys):
    assert _convert(checkpoint, "--preset", "glip-x", "--out", tmp_path / "m") == 2
    assert "unknown preset 'glip-x'; allowed: glip-t-a, glip-t" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["glip-toy", "glip-nano"])
def test_an_onnx_file_computes_what_the_network_computes(preset, tmp_path, capsys):
    """On other pixels and another number of words than it was written with."""
    torch.manual_seed(0)
    save_pretrained(Glip(get_preset(preset)), tmp_path / "model")
    out = tmp_path / "student.onnx"
    size = "64x96" if preset == "glip-toy" else "128x128"
    assert _convert(tmp_path / "model", "--to-onnx", "--out", out, "--size", size) == 0
    assert "largest difference to the network" in capsys.readouterr().out
    model = load_pretrained(tmp_path / "model")
    height, width = map(int, size.split("x"))
    found = compare_onnx(model, out, (height, width))
    assert found.keys() == {"boxes", "token_scores", "centerness"}
    assert found["boxes"] < 1e-3  # pixels
    assert max(found["token_scores"], found["centerness"]) < 1e-5
    said = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert json.loads(said["height"]) == height
    assert json.loads(said["mean"]) == [103.53, 116.28, 123.675]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to-onnx", "--to-official"], "--to-official or --to-onnx, not both"),
        (["--size", "64x64"], "--size goes with --to-onnx"),
        (["--to-onnx", "--size", "64"], "size must be HEIGHTxWIDTH, as 800x1088, got '64'"),
        (["--to-onnx", "--size", "64x65"], "in multiples of 32, got 64x65"),
        (["--to-onnx", "--preset", "glip-t"], "--preset does not go with --to-onnx"),
    ],
)
def test_wrong_onnx_options_are_explained(options, message, tmp_path, capsys):
    torch.manual_seed(0)
    save_pretrained(Glip(get_preset("glip-toy")), tmp_path / "model")
    assert _convert(tmp_path / "model", "--out", tmp_path / "x.onnx", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.slow
def test_a_full_size_checkpoint_is_recognised_and_kept_exactly(tmp_path):
    model = recipe_model(get_preset("glip-t"))
    path, out = tmp_path / "glip_tiny.pth", tmp_path / "model"
    state = to_official(model.state_dict(), model.config)
    torch.save({"model": {"module." + name: t for name, t in state.items()}}, path)
    assert _convert(path, "--out", out) == 0
    converted = load_pretrained(out)
    assert converted.config == get_preset("glip-t")
    for name, tensor in model.state_dict().items():
        assert torch.equal(converted.state_dict()[name], tensor), name
