from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.config import get_preset
from model.files.official_file import convert_checkpoint, read_checkpoint
from model.files.official_names import to_official
from model.network.glip import Glip
from schemas.errors import ConfigError


@pytest.fixture(scope="module")
def toy() -> Glip:
    torch.manual_seed(0)
    return Glip(get_preset("glip-toy"))


@pytest.fixture
def official(toy) -> dict[str, torch.Tensor]:
    return to_official(toy.state_dict(), toy.config)


class Code:
    def __reduce__(self):
        return print, ("run while reading",)


@pytest.mark.parametrize("holder", ["model", "state_dict", None])
@pytest.mark.parametrize("prefix", ["module.", "module._orig_mod.", "model.", ""])
def test_every_layout_is_read(toy, official, tmp_path, holder, prefix):
    state = {prefix + name: tensor for name, tensor in official.items()}
    torch.save({holder: state, "iteration": 7} if holder else state, tmp_path / "x.pth")
    model = convert_checkpoint(tmp_path / "x.pth", "glip-toy")
    assert torch.equal(model.head.bias0, toy.head.bias0)
    assert not model.training


def test_safetensors_and_half_precision_are_read(toy, official, tmp_path):
    half = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in official.items()
    }
    save_file(half, tmp_path / "x.safetensors")
    model = convert_checkpoint(tmp_path / "x.safetensors", "glip-toy")
    assert model.head.box.weight.dtype == torch.float32
    assert torch.equal(model.head.box.weight, toy.head.box.weight.half().float())


def test_averaged_weights_are_read_where_asked_for(official, tmp_path):
    averaged = {name: tensor + 1 for name, tensor in official.items()}
    torch.save({"model": official, "model_ema": averaged}, tmp_path / "x.pth")
    name = "rpn.head.bias0"
    assert torch.equal(read_checkpoint(tmp_path / "x.pth")[name], official[name])
    assert torch.equal(read_checkpoint(tmp_path / "x.pth", "model_ema")[name], averaged[name])
    torch.save({"model": official}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match="x.pth has no model_ema; it has model"):
        read_checkpoint(tmp_path / "x.pth", "model_ema")


def test_code_in_a_file_is_refused_and_never_run(tmp_path, capsys):
    torch.save({"model": {"a": torch.zeros(1)}, "more": Code()}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=r"x.pth holds .*print besides tensors and is refused"):
        read_checkpoint(tmp_path / "x.pth")
    assert "run while reading" not in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_truncated_file_is_told(official, tmp_path, size):
    path = tmp_path / "x.pth"
    torch.save(official, path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ConfigError, match="x.pth is (truncated or no|not a) checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not a dictionary"),
        ({}, "holds no tensors"),
        ({"model": {"a": 3}}, "'a' is a int, not a tensor"),
        ({"a": torch.zeros(2)}, "does not fit glip-toy: .* missing, first backbone.body"),
    ],
)
def test_other_contents_are_named(tmp_path, content, message):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=message):
        convert_checkpoint(tmp_path / "x.pth", "glip-toy")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "x.pth")


def test_a_network_of_no_published_kind(official, tmp_path):
    torch.save(official, tmp_path / "x.pth")
    message = r"fits none of glip-t-a, glip-t, glip-l; of the nearest: .* tensors are"
    with pytest.raises(ConfigError, match=message):
        convert_checkpoint(tmp_path / "x.pth", None)


def test_a_damaged_file_of_the_old_format_is_told(official, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(official, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for size in (1, 22, 300, 2507, 9000, len(whole) - 50):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"x\.pth is (truncated or no|not a) checkpoint"):
            read_checkpoint(path)


def test_a_plain_pickle_is_told_in_one_sentence(tmp_path, recwarn):
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"model": {"x": 1}}))
    with pytest.raises(ConfigError, match=r"x\.pth is not a checkpoint of torch\.save$"):
        read_checkpoint(tmp_path / "x.pth")
    assert not recwarn.list


def test_numbers_of_numpy_are_data(official, tmp_path):
    figures = {"eval_result": {"bbox_mAP": np.float64(0.4), "n": np.int64(3)}}
    torch.save({"model": official, **figures}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").keys() == official.keys()


def test_a_tuned_prompt_comes_along_both_ways(toy, official, tmp_path):
    table = torch.zeros(1000, toy.config.text.hidden_size)
    torch.save(official | {"rpn.tunable_linear.weight": table}, tmp_path / "zero.pth")
    assert convert_checkpoint(tmp_path / "zero.pth", "glip-toy").text_encoder.tuned is None
    table[:300] = torch.randn(300, table.shape[1])
    torch.save(official | {"rpn.tunable_linear.weight": table}, tmp_path / "x.pth")
    model = convert_checkpoint(tmp_path / "x.pth", "glip-toy")
    positions = toy.config.max_tokens
    assert torch.equal(model.text_encoder.tuned, table[:positions])
    back = to_official(model.state_dict(), model.config)["rpn.tunable_linear.weight"]
    assert back.shape == table.shape
    assert torch.equal(back[:positions], table[:positions])
    assert not back[positions:].any()


@pytest.mark.parametrize("name", ["model_ema", "ema_state_dict"])
def test_averaged_weights_alone_are_read_and_asked_for_by_name(official, tmp_path, name):
    state = {f"module.{key}": tensor for key, tensor in official.items()}
    torch.save({name: state | {"steps": torch.tensor(7)}, "meta": {}}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=f"averaged weights alone: give --weights {name}"):
        read_checkpoint(tmp_path / "x.pth")
    found = read_checkpoint(tmp_path / "x.pth", name)
    assert sorted(found) == sorted(official)


def test_a_refused_file_says_how_to_save_its_tensors(official, tmp_path):
    trained = {"state_dict": official, "message_hub": Code()}
    torch.save(trained, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=r"save its tensors alone .*torch.save\(\{'state_dict'"):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_nan_are_not_converted(official, tmp_path, value):
    name = next(key for key, tensor in official.items() if tensor.is_floating_point())
    official[name] = torch.full_like(official[name], value)
    torch.save({"model": official}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=f"{name} holds NaN or infinity"):
        convert_checkpoint(tmp_path / "x.pth", "glip-toy")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda tensor: tensor.to_sparse(), "is a sparse tensor"),
        (lambda tensor: tensor.to("meta"), "is a meta tensor"),
        (lambda tensor: tensor.to(torch.complex64), "is a complex tensor"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is a quantized"),
        (lambda tensor: tensor.int(), "1 tensor is without fractions, first .* of torch.int32"),
    ],
)
def test_tensors_whose_numbers_are_no_weights_are_named(official, tmp_path, change, said):
    name = next(name for name in official if name.endswith("DyConv.0.conv.weight"))
    torch.save({"model": official | {name: change(official[name])}}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match=said) as raised:
        convert_checkpoint(tmp_path / "x.pth", "glip-toy")
    assert name in str(raised.value)


def test_zeros_alone_are_no_weights(official, tmp_path):
    torch.save({name: torch.zeros_like(t) for name, t in official.items()}, tmp_path / "x.pth")
    with pytest.raises(ConfigError, match="holds zeros alone"):
        convert_checkpoint(tmp_path / "x.pth", "glip-toy")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_what_lies_in_place_of_a_file_is_named(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ConfigError, match="it is a Git LFS pointer; fetch .* `git lfs pull`"):
        read_checkpoint(tmp_path / name)
    (tmp_path / name).write_text("<!DOCTYPE html><title>Sign in</title>")
    with pytest.raises(ConfigError, match="it is HTML, a page that a server sent"):
        read_checkpoint(tmp_path / name)
    with pytest.raises(ConfigError, match="is a directory; give the checkpoint file in it"):
        read_checkpoint(tmp_path)
