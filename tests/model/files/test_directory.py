from __future__ import annotations

import json

import pytest
import torch

from model.config import get_preset
from model.files.directory import save_pretrained
from model.files.pretrained import load_pretrained
from model.network.glip import Glip
from schemas.errors import ConfigError


@pytest.fixture(scope="module")
def toy() -> Glip:
    torch.manual_seed(0)
    return Glip(get_preset("glip-toy")).eval()


def test_a_directory_gives_the_same_weights_back(toy, tmp_path):
    again = load_pretrained(save_pretrained(toy, tmp_path / "new" / "model"))
    assert again.config == toy.config
    assert not again.training
    for name, tensor in toy.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    for (name, buffer), (_, other) in zip(toy.named_buffers(), again.named_buffers(), strict=True):
        assert torch.equal(buffer, other), name


def test_large_weights_are_divided_and_a_smaller_save_leaves_no_old_shard(toy, tmp_path):
    save_pretrained(toy, tmp_path, shard_bytes=1_000_000)
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert shards[0].startswith("model-00001-of-")
    assert len(shards) > 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(toy.state_dict())
    assert torch.equal(load_pretrained(tmp_path).head.bias0, toy.head.bias0)
    save_pretrained(toy, tmp_path)
    assert [path.name for path in tmp_path.glob("model*")] == ["model.safetensors"]


def test_half_precision_is_stored_and_float32_comes_back(toy, tmp_path):
    save_pretrained(toy, tmp_path, dtype=torch.float16)
    again = load_pretrained(tmp_path)
    assert again.head.box.weight.dtype == torch.float32
    assert torch.equal(again.head.box.weight, toy.head.box.weight.half().float())
    assert (tmp_path / "model.safetensors").stat().st_size < 4_000_000


def test_weights_are_as_readable_as_the_configuration(toy, tmp_path):
    save_pretrained(toy, tmp_path)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": 3}, r"does not fit its config.json: \d+ tensors are missing, first tower"),
        ({"num_layers": 1}, r"\d+ tensors are unexpected, first tower.1"),
        ({"channels": 64}, r"\d+ tensors are of another shape, first .* has shape \["),
        ({"model_type": "bert"}, "model_type must be 'glip', got 'bert'"),
        ({"layers": 2}, "unknown field 'layers'; allowed: .*num_layers"),
        ({"channels": 33}, "channels must be a multiple of norm_groups 4, got 33"),
    ],
)
def test_weights_of_another_network_are_named(toy, tmp_path, change, message):
    save_pretrained(toy, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError, match=message):
        load_pretrained(tmp_path)


def test_a_broken_file_is_named(toy, tmp_path):
    save_pretrained(toy, tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match="model.safetensors cannot be read as safetensors"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="config.json cannot be read"):
        load_pretrained(tmp_path)


def test_no_model_directory(tmp_path):
    with pytest.raises(ConfigError, match="is not a model directory"):
        load_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="is not a model directory"):
        load_pretrained(tmp_path / "absent")


@pytest.mark.parametrize(
    "change",
    [
        {"fusion_dim": ["x"]},
        {"text": True},
        {"num_backbone_levels": 1e308},
        {"backbone_options": {"embed_dim": 16, "num_heads": "x"}},
        {"backbone_options": {"embed_dim": 16, "other": ""}},
        {"backbone_options": {"embed_dim": 16, "depths": [1], "num_heads": [[]]}},
    ],
)
def test_a_damaged_configuration_names_its_file_and_the_way_out(toy, tmp_path, change):
    save_pretrained(toy, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError, match=r"config.json: .*Restore the file, or convert") as found:
        load_pretrained(tmp_path)
    assert str(found.value).count(str(path)) == 1
