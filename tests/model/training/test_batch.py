from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.training.batch import UNREADABLE, WORDS_CUT, WORDS_UNKNOWN, BatchBuilder


@dataclass
class Prompt:
    caption: str
    spans: tuple
    drops: Counter = field(default_factory=Counter)

    @property
    def boxes(self):
        rows = [[10 * i, 5, 10 * i + 8, 25] for i in range(len(self.spans))]
        return np.array(rows, dtype=np.float32).reshape(-1, 4)

    @property
    def weights(self):
        return np.linspace(0.5, 1, len(self.spans)).astype(np.float32)


@dataclass
class Example:
    prompt: Prompt
    sample_id: str = "s"
    short_side: int | None = None
    failure: str = ""
    image: np.ndarray = field(default_factory=lambda: np.full((40, 60, 3), 128, dtype=np.uint8))


def build(*examples: Example, max_tokens: int = 256):
    preprocessor = Preprocessor(min_size=40, max_size=100)
    return BatchBuilder(default_tokenizer(), preprocessor, max_tokens)(examples)


CAT = Example(Prompt("a red cat. a dogsled", (((0, 9),), ((11, 20),))))


def words_of(batch, image: int, box: int) -> list[str]:
    tokens = default_tokenizer()._backend
    positions = batch.targets[image].positive_map_GT[box].nonzero().flatten().tolist()
    return [tokens.id_to_token(int(batch.tokens.input_ids_BT[image, p])) for p in positions]


def test_the_positive_map_stands_on_the_words_of_the_box():
    batch = build(CAT)
    assert words_of(batch, 0, 0) == ["a", "red", "cat"]
    assert words_of(batch, 0, 1) == ["a", "dogs", "##led"]


def test_texts_are_padded_to_the_longest_and_masked():
    batch = build(CAT, Example(Prompt("tree", ())))
    assert batch.tokens.input_ids_BT.shape == batch.text_mask_BT.shape
    assert batch.text_mask_BT.sum(1).tolist() == [9, 3]
    assert batch.targets[1].boxes_G4.shape == (0, 4)


def test_boxes_follow_the_resize_exactly():
    batch = build(Example(CAT.prompt, short_side=20))
    assert batch.to(torch.device("cpu")).images_B3HW.shape == (1, 3, 32, 32)
    assert batch.targets[0].boxes_G4[1].tolist() == [5.0, 2.5, 9.0, 12.5]
    assert batch.targets[0].weights_G.tolist() == [0.5, 1.0]


def test_what_the_limit_cuts_is_dropped_and_counted():
    batch = build(CAT, max_tokens=5)
    assert batch.tokens.input_ids_BT.shape == (1, 5)
    assert words_of(batch, 0, 0) == ["a", "red", "cat"]
    assert len(batch.targets[0].boxes_G4) == 1
    assert batch.drops == {WORDS_CUT: 1}
    assert batch.targets[0].positive_map_GT.shape[1] == 5


def test_a_box_whose_words_are_cut_in_part_keeps_the_rest():
    batch = build(CAT, max_tokens=8)
    assert words_of(batch, 0, 1) == ["a", "dogs"]


def test_a_span_without_a_word_is_dropped_and_counted():
    caption = "a cat          dog"
    batch = build(Example(Prompt(caption, (((8, 10),), ((15, 18),)), Counter({"before": 2}))))
    assert batch.drops == {WORDS_UNKNOWN: 1, "before": 2}
    assert words_of(batch, 0, 0) == ["dog"]


def test_an_empty_caption_is_two_special_tokens():
    batch = build(Example(Prompt("", ())))
    assert batch.text_mask_BT.tolist() == [[1, 1]]


@pytest.mark.parametrize("caption", ["İstanbul 🐻 bär", "e\u0301te\u0301 a cat", "ＣＡＴ a cat"])
def test_unicode_offsets_are_characters(caption):
    start = caption.rindex(" ") + 1
    batch = build(Example(Prompt(caption, (((start, len(caption)),),))))
    assert words_of(batch, 0, 0) == [{"bär": "bar", "cat": "cat"}[caption[start:]]]


def test_images_travel_as_bytes_and_arrive_as_the_teacher_sees_them():
    other = Example(CAT.prompt, image=np.full((50, 40, 3), (255, 0, 7), dtype=np.uint8))
    batch = build(CAT, other)
    assert batch.images.pixels_BHW3.dtype == torch.uint8
    arrived = batch.to(torch.device("cpu"))
    preprocessor = Preprocessor(min_size=40, max_size=100)
    resized = [preprocessor.resize(example.image) for example in (CAT, other)]
    assert torch.equal(arrived.images_B3HW, preprocessor.batch(resized).pixels_B3HW)
    assert not arrived.images_B3HW[0, :, 40:].any()
    assert not arrived.images_B3HW[1, :, :, 40:].any()
    assert torch.equal(arrived.to(torch.device("cpu")).images_B3HW, arrived.images_B3HW)


def test_an_image_that_could_not_be_read_weighs_nothing_and_is_named():
    lost = Example(Prompt("", ()), sample_id="lost", failure="image_missing: gone")
    batch = build(CAT, lost)
    assert [target.image_weight for target in batch.targets] == [1.0, 0.0]
    assert batch.failures == (("lost", "image_missing: gone"),)
    assert batch.drops[UNREADABLE] == 1
    assert batch.text_mask_BT[1].sum() == 2  # [CLS] and [SEP]
