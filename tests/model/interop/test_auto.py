from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor

import model.interop.auto
from model.config import get_preset
from model.files.directory import save_pretrained
from model.files.pretrained import load_pretrained
from model.files.shipped import shipped_nano
from model.interop.processor import GlipProcessor
from model.network.glip import Glip
from schemas.errors import ConfigError


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save_pretrained(Glip(get_preset("glip-toy")), tmp_path_factory.mktemp("toy"))


def test_an_option_that_glip_does_not_have_is_named(directory: Path) -> None:
    with pytest.raises(TypeError, match="GLIP has no option 'device_map'; allowed: dtype"):
        AutoModel.from_pretrained(directory, device_map="auto")
    with pytest.raises(TypeError, match="dtype 'float17' is not a torch dtype"):
        model.interop.auto.GlipAutoModel.from_pretrained(directory, dtype="float17")
    with pytest.raises(ConfigError, match="not a model directory"):
        model.interop.auto.GlipAutoModel.from_pretrained(directory / "absent")


def test_the_auto_classes_load_what_glip_loads(directory: Path) -> None:
    network = AutoModel.from_pretrained(directory)
    processor = AutoProcessor.from_pretrained(directory)
    assert isinstance(network, Glip)
    assert isinstance(processor, GlipProcessor)
    assert AutoConfig.from_pretrained(directory).preset == "glip-toy"
    inputs = processor(np.full((64, 96, 3), 90, np.uint8), names=["red box", "dog"])
    with torch.inference_mode():
        ours = load_pretrained(directory)(inputs.pixels_B3HW, inputs.tokens)
        theirs = network(inputs.pixels_B3HW, inputs.tokens)
    assert torch.equal(ours.logits_BNT, theirs.logits_BNT)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_weights_may_be_half_and_answer_alike(dtype: torch.dtype) -> None:
    nano = shipped_nano()
    processor = AutoProcessor.from_pretrained(nano)
    rng = np.random.default_rng(0)
    inputs = processor(rng.integers(0, 255, (96, 128, 3), np.uint8), names=["red box", "dog"])
    want = AutoModel.from_pretrained(nano)(inputs.pixels_B3HW, inputs.tokens)
    network = AutoModel.from_pretrained(nano, dtype=dtype)
    assert {p.dtype for p in network.parameters()} == {dtype}
    got = network(inputs.pixels_B3HW.to(dtype), inputs.tokens)
    torch.testing.assert_close(got.logits_BNT.float(), want.logits_BNT, atol=0.4, rtol=0.05)


def test_a_published_network_does_without_the_large_libraries(directory: Path) -> None:
    """They cost a quarter of a GLIP-T teacher's memory, on each worker."""
    code = (
        "import sys; from model.teacher.load import load_teacher;"
        "from model.network.glip import Glip;"
        "from model.config import get_preset; Glip(get_preset('glip-toy'));"
        "print([m for m in ('transformers', 'torchvision', 'timm') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"
