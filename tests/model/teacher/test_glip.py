from __future__ import annotations

import json

import numpy as np
import pytest

from model.teacher.glip import TeacherOptions
from schemas.errors import ConfigError, RecordError
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus
from tests.model.fake_network import RED, ask_for, draw_squares, fake_teacher, same_answer


def _check_contract(answer: Grounding, image: np.ndarray, num_phrases: int) -> None:
    height, width = image.shape[:2]
    assert answer.xyxy.dtype == np.float32
    assert answer.xyxy.shape == (len(answer.score), 4)
    assert np.isfinite(answer.xyxy).all()
    assert (answer.xyxy[:, 2:] > answer.xyxy[:, :2]).all()
    assert (answer.xyxy >= 0).all()
    assert (answer.xyxy <= [width, height, width, height]).all()
    assert (np.diff(answer.score) <= 0).all()
    assert len(answer.phrase_best_score) == len(answer.phrase_status) == num_phrases
    np.testing.assert_allclose(
        answer.score, np.sqrt(answer.token_score * answer.centerness), rtol=1e-5
    )


def test_a_teacher_is_a_grounder() -> None:
    assert isinstance(fake_teacher()[0], Grounder)


def test_no_requests_have_no_answers() -> None:
    assert fake_teacher()[0].ground([]) == []


@pytest.mark.parametrize("caption", ["", "   ", "😀😀", "nothing to see"])
def test_a_caption_without_phrases_asks_nothing(caption: str) -> None:
    teacher, network = fake_teacher()
    (answer,) = teacher.ground([ask_for(draw_squares(), caption)])
    _check_contract(answer, draw_squares(), 0)
    assert network.image_batches == []


def test_a_phrase_that_the_vocabulary_lacks_is_not_seen() -> None:
    teacher, _ = fake_teacher()
    image = draw_squares(red=(0, 0))
    (answer,) = teacher.ground([ask_for(image, "😀 on red", "😀|red")])
    assert answer.phrase_status == (PhraseStatus.TRUNCATED, PhraseStatus.OK)
    assert set(answer.phrase_index.tolist()) == {1}


def test_a_box_is_half_open_in_original_pixels() -> None:
    teacher, _ = fake_teacher()
    image = draw_squares(128, 128)
    image[32:64, 32:64] = RED
    (answer,) = teacher.ground([ask_for(image, "a red thing")])
    _check_contract(answer, image, 1)
    best = answer.xyxy[answer.score >= answer.score[0] - 1e-6]
    assert [32.0, 32.0, 64.0, 64.0] in best.tolist()


def test_a_phrase_below_the_floor_keeps_its_best_score() -> None:
    teacher, _ = fake_teacher(score_floor=0.5)
    (answer,) = teacher.ground([ask_for(draw_squares(red=(0, 0)), "red and blue")])
    assert set(answer.phrase_index.tolist()) == {0}
    assert 0 < answer.phrase_best_score[1] < 0.5
    assert answer.phrase_best_score[0] == pytest.approx(answer.score[0])


def test_phrases_that_are_not_visual_are_passed_through() -> None:
    teacher, _ = fake_teacher()
    request = ask_for(draw_squares(red=(0, 0)), "red and blue")
    phrases = (
        request.phrases[0],
        Phrase(text="blue", start=8, end=12, status=PhraseStatus.NOT_VISUAL),
    )
    request = GroundingRequest(image=request.image, caption=request.caption, phrases=phrases)
    (answer,) = teacher.ground([request])
    assert answer.phrase_status == (PhraseStatus.OK, PhraseStatus.NOT_VISUAL)
    assert answer.phrase_best_score[1] == 0


def test_answers_do_not_depend_on_the_other_requests() -> None:
    requests = [
        ask_for(draw_squares(64, 64, red=(0, 0)), "red"),
        ask_for(draw_squares(100, 64, blue=(16, 16)), "a blue thing and something green"),
        ask_for(draw_squares(64, 64, green=(32, 32), red=(0, 0)), "green over red " * 4),
        ask_for(draw_squares(48, 96, blue=(0, 0)), "blue"),
        ask_for(draw_squares(64, 60, green=(8, 8)), "green"),
    ]
    teacher, _ = fake_teacher(batch_size=3)
    together = teacher.ground(requests)
    backwards = teacher.ground(requests[::-1])[::-1]
    for request, answer, other in zip(requests, together, backwards, strict=True):
        (alone,) = fake_teacher()[0].ground([request])
        assert len(answer.score) > 0
        assert same_answer(answer, alone)
        assert same_answer(answer, other)


def test_only_images_of_one_padded_size_share_a_batch() -> None:
    teacher, network = fake_teacher()
    teacher.ground([ask_for(draw_squares(64, width), "red") for width in (64, 60, 128, 64)])
    assert sorted(network.image_batches) == [(1, 3, 64, 128), (1, 3, 96, 64), (2, 3, 64, 64)]


def test_a_caption_of_5000_words_is_asked_in_windows() -> None:
    teacher, network = fake_teacher()
    caption = "There was a red thing in the room today. " * 600
    image = draw_squares(red=(0, 0))
    request = ask_for(image, caption)
    (answer,) = teacher.ground([request])
    _check_contract(answer, image, 600)
    assert set(answer.phrase_status) == {PhraseStatus.OK}
    assert set(answer.phrase_index.tolist()) == set(range(600))
    assert len(network.image_batches) == 1
    assert network.texts_encoded < len(network.predict_batches) * 8  # equal windows, one text


def test_a_phrase_over_the_limit_is_truncated() -> None:
    teacher, _ = fake_teacher()
    (answer,) = teacher.ground([ask_for(draw_squares(), "red " * 400, ".+")])
    assert answer.phrase_status == (PhraseStatus.TRUNCATED,)
    assert answer.phrase_best_score.tolist() == [0]


@pytest.mark.parametrize("height, width", [(1, 1), (31, 7), (1, 20000), (20000, 1), (3, 500)])
def test_images_of_any_shape_have_an_answer(height: int, width: int) -> None:
    image = np.full((height, width, 3), RED, np.uint8)
    (answer,) = fake_teacher()[0].ground([ask_for(image, "red")])
    _check_contract(answer, image, 1)
    assert answer.phrase_best_score[0] > 0


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(RecordError, match="image_too_small: .*at least 1 x 1 pixels, got 0 x 5"):
        fake_teacher()[0].ground([ask_for(np.zeros((5, 0, 3), np.uint8), "red")])


# --- class names -------------------------------------------------------------------------


def test_no_names_find_nothing() -> None:
    answer = fake_teacher()[0].detect(draw_squares(), [])
    _check_contract(answer, draw_squares(), 0)


def test_names_without_a_token_are_reported() -> None:
    answer = fake_teacher()[0].detect(draw_squares(red=(0, 0)), ["(red)", "red", ""])
    truncated = PhraseStatus.TRUNCATED
    assert answer.phrase_status == (truncated, PhraseStatus.OK, truncated)
    assert set(answer.phrase_index.tolist()) == {1}


def test_names_of_parentheses_only_ask_nothing() -> None:
    teacher, network = fake_teacher()
    answer = teacher.detect(draw_squares(), ["(a)", "(b)"])
    assert answer.phrase_status == (PhraseStatus.TRUNCATED,) * 2
    assert network.image_batches == []


def test_a_long_list_encodes_image_and_texts_once() -> None:
    teacher, network = fake_teacher(batch_size=4)
    names = [f"kind {number}" for number in range(1202)] + ["red"]
    image = draw_squares(red=(16, 16))
    answer = teacher.detect(image, names)
    _check_contract(answer, image, 1203)
    assert set(answer.phrase_index.tolist()) == {1202}
    assert len(network.image_batches) == 1
    assert max(network.predict_batches) == 4
    encoded = network.texts_encoded
    again = teacher.detect_batch([image, image], names)
    assert network.texts_encoded == encoded
    assert same_answer(again[0], answer)
    assert same_answer(again[1], answer)


def test_chunks_can_have_the_references_size() -> None:
    teacher, network = fake_teacher(max_names=40, batch_size=1)
    teacher.detect(draw_squares(), [f"kind {number}" for number in range(100)])
    assert len(network.predict_batches) == 3


def test_something_is_told_before_each_batch_and_can_end_the_call() -> None:
    teacher, network = fake_teacher(batch_size=2)
    told: list[int] = []
    teacher.before_batch = lambda: told.append(len(network.image_batches))
    requests = [ask_for(draw_squares(red=(8 * n, 0)), "red") for n in range(5)]
    teacher.ground(requests)
    assert told == [0, 1, 2]

    def end() -> None:
        raise KeyError("enough")

    teacher.before_batch = end
    with pytest.raises(KeyError, match="enough"):
        teacher.ground(requests)


# --- memory and options ------------------------------------------------------------------


def test_the_fingerprint_knows_the_thresholds_and_not_the_batch_size() -> None:
    first = fake_teacher()[0].fingerprint()
    assert json.loads(json.dumps(first)) == first
    assert first == fake_teacher(batch_size=3)[0].fingerprint()
    assert first != fake_teacher(score_floor=0.2)[0].fingerprint()
    assert first != fake_teacher(min_size=96)[0].fingerprint()


@pytest.mark.parametrize(
    "field, value, allowed",
    [
        ("score_floor", 1.5, r"in \[0, 1\], got 1.5"),
        ("nms_iou", -0.1, r"in \[0, 1\], got -0.1"),
        ("batch_size", 0, "1 or more, got 0"),
        ("max_names", -1, "0 or more, got -1"),
    ],
)
def test_wrong_options_name_the_field(field: str, value: float, allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be {allowed}"):
        TeacherOptions(**{field: value})  # type: ignore[arg-type]


def test_sizes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_size must not exceed max_size, got 800 and 600"):
        TeacherOptions(min_size=800, max_size=600)


# --- broken networks ---------------------------------------------------------------------


@pytest.mark.parametrize("field", ["logits_BNT", "box_deltas_BN4", "centerness_BN"])
def test_a_network_of_nan_fails_and_never_finds_nothing(field: str) -> None:
    teacher, network = fake_teacher()
    honest = network.predict

    def broken(pyramid, text):
        output = honest(pyramid, text)
        getattr(output, field).fill_(float("nan"))
        return output

    network.predict = broken
    with pytest.raises(RecordError, match="teacher_failed: .* of NaN or infinity"):
        teacher.ground([ask_for(draw_squares(red=(0, 0)), "a red thing")])
    with pytest.raises(RecordError, match="NaN or infinity"):
        teacher.detect(draw_squares(red=(0, 0)), ["red"])
