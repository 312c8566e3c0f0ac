from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.config import get_preset
from model.inputs.preprocess import Preprocessor
from model.interop.processor import GlipProcessor
from model.network.glip import Glip
from tests.model.fake_network import FakeNetwork

PROCESSOR = GlipProcessor(Preprocessor(min_size=64, max_size=128))


def _image(color=(255, 0, 0)) -> np.ndarray:
    image = np.full((128, 128, 3), 110, np.uint8)
    image[32:64, 32:64] = color
    return image


def _boxes(inputs, **options):
    network = FakeNetwork()
    output = network.predict(
        network.encode_image(inputs.pixels_B3HW), network.encode_text(inputs.tokens)
    )
    return PROCESSOR.post_process_grounded_object_detection(output, inputs, **options)


def test_text_or_names_must_be_given() -> None:
    with pytest.raises(ValueError, match=r"give either text \(with phrases\) or names"):
        PROCESSOR(_image())
    with pytest.raises(ValueError, match="give either"):
        PROCESSOR(_image(), text="red", names=["red"])


def test_a_caption_needs_its_phrases() -> None:
    with pytest.raises(ValueError, match="text needs phrases"):
        PROCESSOR(_image(), text="red")
    with pytest.raises(ValueError, match=r"\[0, 9\) is not inside the caption of 3 characters"):
        PROCESSOR(_image(), text="red", phrases=[(0, 9)])


def test_numbers_must_fit() -> None:
    with pytest.raises(ValueError, match="1 images, but 2 captions"):
        PROCESSOR(_image(), text=["red", "blue"], phrases=[(0, 3)])
    with pytest.raises(ValueError, match="2 images, but 1 lists of names"):
        PROCESSOR([_image(), _image()], names=[["red"]])


def test_more_text_than_one_forward_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 2 prompts of 256 tokens; use .*Teacher"):
        PROCESSOR(_image(), names=[f"kind {number}" for number in range(100)])


def test_names_without_a_token_keep_their_place() -> None:
    inputs = PROCESSOR(_image(), names=["(x)", "red"])
    (found,) = _boxes(inputs)
    assert set(found["labels"].tolist()) == {1}
    assert set(found["text_labels"]) == {"red"}


@pytest.mark.parametrize("names", [[], ["(x)"]])
def test_nothing_to_ask_finds_nothing(names: list[str]) -> None:
    (found,) = _boxes(PROCESSOR(_image(), names=names))
    assert found["boxes"].shape == (0, 4)


def test_boxes_are_half_open_in_the_given_image() -> None:
    (found,) = _boxes(PROCESSOR(_image(), text="a red thing", phrases=[(2, 5)]), threshold=0.9)
    assert [32.0, 32.0, 64.0, 64.0] in found["boxes"].tolist()
    assert (found["scores"] >= 0.9).all()


def test_every_image_has_its_own_text() -> None:
    inputs = PROCESSOR(
        [_image(), _image((0, 0, 255))],
        text=["red or blue, maybe", "blue"],
        phrases=[[(0, 3), (7, 11)], [(0, 4)]],
    )
    first, second = _boxes(inputs)
    assert set(first["text_labels"]) == {"red"}
    assert set(second["text_labels"]) == {"blue"}
    assert inputs.tokens.attention_mask_BT.sum(1).tolist() == [7, 3]


def test_pictures_are_turned_upright() -> None:
    picture = Image.new("L", (40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    picture.info["exif"] = exif.tobytes()
    inputs = PROCESSOR(picture, names=["red"])
    assert inputs.original_sizes == ((20, 40),)


def test_inputs_can_move() -> None:
    inputs = PROCESSOR(_image(), names=["red"]).to(torch.device("cpu"))
    assert inputs.tokens.input_ids_BT.device.type == "cpu"


def test_the_vocabulary_is_saved(tmp_path: Path) -> None:
    PROCESSOR.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "vocab.txt").stat().st_size > 200_000


def test_an_image_without_phrases_may_come_first_and_spans_may_be_arrays() -> None:
    two = [_image(), _image((0, 0, 255))]
    inputs = PROCESSOR(two, text=["red", "blue"], phrases=[[], [(0, 4)]])
    assert inputs.text_labels == ((), ("blue",))
    assert PROCESSOR(two, text="red", phrases=[[], []]).text_labels == ((), ())
    assert PROCESSOR(_image(), text="red", phrases=np.array([[0, 3]])).text_labels == (("red",),)


def test_what_is_no_list_of_names_or_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="names is a list of names, got the text 'dog'"):
        PROCESSOR(_image(), names="dog")
    with pytest.raises(ValueError, match="images is empty"):
        PROCESSOR([], names=["dog"])
    with pytest.raises(ValueError, match="a uint8 array or a PIL image, got str"):
        PROCESSOR(["photo.jpg"], names=["dog"])
    deep = Image.fromarray(np.full((40, 40), 30_000, np.uint16))
    with pytest.raises(ValueError, match="mode I;16 has no range that is known"):
        PROCESSOR(deep, names=["dog"])


def test_what_is_transparent_is_white() -> None:
    clear = PROCESSOR(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), names=["red"])
    white = PROCESSOR(Image.new("RGB", (64, 64), "white"), names=["red"])
    assert torch.equal(clear.pixels_B3HW, white.pixels_B3HW)


def test_inputs_go_to_a_type_as_tensors_do() -> None:
    inputs = PROCESSOR(_image(), text="red", phrases=[(0, 3)])
    for half in (inputs.to(torch.float16), inputs.to("cpu", torch.float16)):
        assert half.pixels_B3HW.dtype == torch.float16
        assert half.tokens.input_ids_BT.dtype == torch.int64
        assert torch.equal(half.sizes_B2, inputs.sizes_B2)
    assert inputs.to("cpu").pixels_B3HW.dtype == torch.float32
    assert inputs.to(dtype=torch.bfloat16).pixels_B3HW.dtype == torch.bfloat16


def test_a_network_in_half_precision_takes_inputs_of_its_type() -> None:
    torch.manual_seed(0)
    network = Glip(get_preset("glip-toy")).eval()
    inputs = PROCESSOR(_image(), text="red", phrases=[(0, 3)])
    half = inputs.to(torch.bfloat16)
    with torch.inference_mode():
        want = network(inputs.pixels_B3HW, inputs.tokens, inputs.sizes_B2)
        found = network.to(torch.bfloat16)(half.pixels_B3HW, half.tokens, half.sizes_B2)
    torch.testing.assert_close(found.logits_BNT.float(), want.logits_BNT, atol=0.3, rtol=0.1)
