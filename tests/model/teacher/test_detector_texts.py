"""Texts of detectors, odd images, broken networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.teacher.load import load_teacher
from schemas.errors import RecordError
from schemas.records import PhraseStatus
from tests.model.teacher.detector_cases import (
    EVERYTHING,
    QUERIES,
    WORDS,
    assert_same,
    noise_image,
    request_of,
    teacher_of,
)
from tests.model.teacher.tiny_detectors import KINDS


@pytest.mark.parametrize("kind", WORDS)
def test_a_final_full_stop_is_always_there(kind: str, directories: dict[str, Path]) -> None:
    teacher = teacher_of(directories[kind], score_floor=0.0)
    for text in ("a black cat", "a black cat?", 'a "black cat"', "a black cat. ", "a black cat."):
        assert teacher.tokenizer.tokenize(text).ids[-2:] == (1012, 102)
    image = noise_image(80, 120)
    with_stop, without = teacher.ground(
        [request_of(image, text, ((2, 11),)) for text in ("a black cat.", "a black cat")]
    )
    assert_same(with_stop, without)


@pytest.mark.parametrize("kind", WORDS)
def test_a_caption_of_1000_words_is_asked_in_windows(
    kind: str, directories: dict[str, Path]
) -> None:
    sentence = "There was a red thing in the room today. "
    caption = sentence * 120
    spans = tuple((n * len(sentence) + 10, n * len(sentence) + 21) for n in range(120))
    request = request_of(noise_image(64, 64), caption, spans)
    teacher = teacher_of(directories[kind], score_floor=0.0, max_boxes_per_phrase=1)
    (answer,) = teacher.ground([request])
    assert set(answer.phrase_status) == {PhraseStatus.OK}
    assert (answer.phrase_best_score > 0).all()
    plan = teacher._plan_caption(caption, [[span] for span in spans])
    assert max(len(prompt.tokenized) for prompt in plan.prompts) <= 256


@pytest.mark.parametrize("extra", range(6))
def test_captions_about_the_limit_lose_no_phrase(extra: int, directories: dict[str, Path]) -> None:
    caption = "dog " * (250 + extra) + "cat"
    spans = ((0, 3), (len(caption) - 3, len(caption)))
    teacher = teacher_of(directories["grounding-dino"])
    plan = teacher._plan_caption(caption, [[span] for span in spans])
    assert plan.not_seen == ()
    assert sorted(target for prompt in plan.prompts for target in prompt.targets) == [0, 1]
    for prompt in plan.prompts:
        assert len(prompt.tokenized) <= 256
        assert max(max(tokens) for tokens in prompt.tokens) < len(prompt.tokenized) - 2
    assert len(plan.prompts) == (1 if extra <= 2 else 2)


@pytest.mark.parametrize("kind", QUERIES)
def test_a_query_that_is_too_long_is_marked_and_the_others_are_asked(
    kind: str, directories: dict[str, Path]
) -> None:
    limit = 77 if kind == "omdet-turbo" else 16
    long, fits, odd = "x" * (limit - 1), "y" * (limit - 3), "  "
    caption = f"{long} {fits} {odd}z"
    ends = np.cumsum([0, len(long) + 1, len(fits) + 1, len(odd)])
    spans = ((0, len(long)), (int(ends[1]), int(ends[2]) - 1), (int(ends[2]), int(ends[3])))
    teacher = teacher_of(directories[kind], score_floor=0.0)
    (answer,) = teacher.ground([request_of(noise_image(80, 120), caption, spans)])
    assert [status.value for status in answer.phrase_status] == ["truncated", "ok", "truncated"]
    assert set(answer.phrase_index.tolist()) == {1}
    assert answer.phrase_best_score[[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("kind", QUERIES)
def test_a_box_that_two_phrases_share_is_found_for_both(
    kind: str, directories: dict[str, Path]
) -> None:
    teacher = load_teacher(directories[kind], device="cpu", options=EVERYTHING)
    (answer,) = teacher.ground([request_of(noise_image(80, 120), "dog dog", ((0, 3), (4, 7)))])
    first, second = answer.phrase_index == 0, answer.phrase_index == 1
    np.testing.assert_allclose(answer.score[first], answer.score[second], atol=1e-6)
    np.testing.assert_allclose(answer.xyxy[first], answer.xyxy[second], atol=1e-3)


def test_omdets_task_names_every_class_of_its_prompt(directories: dict[str, Path]) -> None:
    teacher = teacher_of(directories["omdet-turbo"])
    names = [f"name number {letter}" for letter in "abcdefghijklmnop"]
    plan = teacher._plan_names(tuple(names))
    assert len(plan.prompts) > 1
    assert sorted(t for prompt in plan.prompts for t in prompt.targets) == list(range(16))
    assert all(teacher._task_fits(prompt.texts) for prompt in plan.prompts)


# --- odd images and broken networks --------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("height, width", [(1, 1), (3, 50), (1, 400), (400, 1), (500, 31)])
def test_images_of_any_shape_have_an_answer_or_a_reason(
    kind: str, height: int, width: int, directories: dict[str, Path]
) -> None:
    request = request_of(noise_image(height, width), "a dog", ((2, 5),))
    teacher = teacher_of(directories[kind], score_floor=0.0)
    if kind in WORDS and max(height, width) >= 100 * min(height, width):
        with pytest.raises(RecordError, match="image_too_small: .*at this teacher's input"):
            teacher.ground([request])
        return
    (answer,) = teacher.ground([request])
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [width, height, width, height]).all()
    # Of a line OWLv2 sees a square of padding: all its boxes may lie there.
    assert answer.phrase_best_score[0] > 0 or kind == "owlv2"


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_without_pixels_is_refused(kind: str, directories: dict[str, Path]) -> None:
    with pytest.raises(RecordError, match="image_too_small: .*at least 1 x 1 pixels, got 0 x 5"):
        teacher_of(directories[kind]).ground([request_of(noise_image(5, 0), "a dog", ((2, 5),))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["box", "class"])
def test_weights_of_nan_fail_the_record(
    kind: str, part: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories[kind], tmp_path / "broken")
    path = tmp_path / "broken" / "model.safetensors"
    state = load_file(path)
    wanted = {
        ("box", True): ("bbox_embed.0", "bbox_embed.1"),
        ("class", True): ("text_projection.weight",),
        ("box", False): ("box_head.dense2", "decoder_bbox_head.1", "bbox_head.layers"),
        ("class", False): ("class_head.dense0", "decoder_class_head.1", "text_projection"),
    }[part, kind in WORDS]
    hit = [name for name in state if any(piece in name for piece in wanted)]
    assert hit
    for name in hit:
        state[name] = torch.full_like(state[name], float("nan"))
    save_file(state, path, metadata={"format": "pt"})
    teacher = teacher_of(tmp_path / "broken", score_floor=0.0)
    with pytest.raises(RecordError, match="teacher_failed: .* of NaN"):
        teacher.ground([request_of(noise_image(80, 120), "a dog", ((2, 5),))])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_answers_are_close(kind: str, directories: dict[str, Path]) -> None:
    request = request_of(noise_image(64, 64), "a dog", ((2, 5),))
    (exact,) = teacher_of(directories[kind]).ground([request])
    (rough,) = teacher_of(directories[kind], precision="bfloat16").ground([request])
    assert rough.xyxy.dtype == np.float32
    np.testing.assert_allclose(exact.phrase_best_score, rough.phrase_best_score, atol=0.1)
