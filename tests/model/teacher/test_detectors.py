"""Detectors of transformers as teachers, held against the library's own numbers of each query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from schemas.grounder import Grounder, GroundingRequest
from tests.model.teacher.detector_cases import (
    CAPTION,
    EVERYTHING,
    SPANS,
    WORDS,
    assert_same,
    noise_image,
    request_of,
    teacher_of,
)
from tests.model.teacher.tiny_detectors import KINDS


def _library(directory: Path, request: GroundingRequest) -> tuple[np.ndarray, np.ndarray]:
    """Corners [Q, 4] in pixels, not clipped, and scores [Q, phrases], by the documented calls."""
    processor = AutoProcessor.from_pretrained(directory)
    model = AutoModelForZeroShotObjectDetection.from_pretrained(directory).eval()
    kind = model.config.model_type
    height, width = request.image.shape[:2]
    texts = [phrase.text for phrase in request.phrases]
    with torch.inference_mode():
        if kind in WORDS:
            text = request.caption if request.caption.endswith(".") else request.caption + "."
            inputs = processor(
                images=request.image,
                text=text,
                return_tensors="pt",
                input_data_format="channels_last",
            )
            output = model(**inputs)
            offsets = processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
            boxes = output.pred_boxes[0]
            scores = torch.stack(
                [
                    output.logits[0][
                        :,
                        [
                            i
                            for i, (a, b) in enumerate(offsets)
                            if b > a and a < p.end > p.start < b
                        ],
                    ]
                    .sigmoid()
                    .amax(1)
                    for p in request.phrases
                ],
                1,
            )
        elif kind == "omdet-turbo":
            inputs = processor(
                images=request.image,
                text=[texts],
                return_tensors="pt",
                input_data_format="channels_last",
                padding="max_length",
            )
            output = model(**inputs)
            boxes = output.decoder_coord_logits[0]
            scores = output.decoder_class_logits[0].sigmoid()
        else:
            inputs = processor(
                images=request.image,
                text=[texts],
                return_tensors="pt",
                input_data_format="channels_last",
            )
            output = model(**inputs)
            boxes, scores = output.pred_boxes[0], output.logits[0].sigmoid()
    frame = [max(height, width)] * 4 if kind == "owlv2" else [width, height] * 2
    half = boxes[:, 2:] / 2
    corners = torch.cat([boxes[:, :2] - half, boxes[:, :2] + half], 1) * torch.tensor(frame)
    return corners.double().numpy(), scores.double().numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(80, 120), (130, 70), (64, 64)])
def test_every_box_and_score_is_the_librarys(
    kind: str, size: tuple[int, int], directories: dict[str, Path]
) -> None:
    # Words of at most 14 letters: the tiny CLIP has a token for each.
    spans = SPANS if kind in WORDS else ((2, 9), (18, 25))
    request = request_of(noise_image(*size), spans=spans)
    (answer,) = load_teacher(directories[kind], device="cpu", options=EVERYTHING).ground([request])
    corners, scores = _library(directories[kind], request)
    height, width = size
    clipped = np.minimum(np.maximum(corners, 0), [width, height, width, height])
    inside = (clipped[:, 2:] > clipped[:, :2]).all(1)
    assert inside.sum() > 3
    for index in range(len(spans)):
        mine = answer.phrase_index == index
        want = scores[inside, index]
        np.testing.assert_allclose(np.sort(answer.score[mine]), np.sort(want), atol=1e-5)
        np.testing.assert_allclose(answer.phrase_best_score[index], want.max(), atol=1e-5)
        found = np.column_stack([answer.score[mine], answer.xyxy[mine]])
        for row in found[:: max(1, len(found) // 5)]:
            near = np.abs(clipped[inside] - row[1:]).max(1) < 0.01
            assert near.any()
            assert np.abs(want[near] - row[0]).min() < 1e-5
    np.testing.assert_array_equal(answer.token_score, answer.score)
    assert (answer.centerness == 1).all()


def test_owlv2_boxes_in_the_padding_are_dropped(directories: dict[str, Path]) -> None:
    request = request_of(noise_image(20, 100), spans=((2, 9),))
    (answer,) = load_teacher(directories["owlv2"], device="cpu", options=EVERYTHING).ground(
        [request]
    )
    corners, _ = _library(directories["owlv2"], request)
    assert (corners[:, 1] > 20).any()  # there are such boxes
    assert len(answer.score) == (corners[:, 1] < 20).sum()
    assert (answer.xyxy[:, 3] <= 20).all()


@pytest.mark.parametrize("aggregation, reduce", [("max", np.max), ("mean", np.mean)])
@pytest.mark.parametrize("kind", WORDS)
def test_a_phrase_is_scored_by_its_own_words_alone(
    kind: str, aggregation: str, reduce: Any, directories: dict[str, Path]
) -> None:
    teacher = load_teacher(
        directories[kind],
        device="cpu",
        options=TeacherOptions(score_floor=0, aggregation=aggregation),  # type: ignore[arg-type]
    )
    (answer,) = teacher.ground([request_of(noise_image(80, 120))])
    tokens = teacher.tokenizer.tokenize(CAPTION)
    pieces = [CAPTION[slice(*tokens.offsets[t])] for t in tokens.span_to_tokens(SPANS[1])]
    assert pieces == ["the", "café", "'", "s", "cat"][: len(pieces)]
    processor = AutoProcessor.from_pretrained(directories[kind])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(directories[kind]).eval()
    with torch.inference_mode():
        inputs = processor(images=noise_image(80, 120), text=CAPTION + ".", return_tensors="pt")
        probability = model(**inputs).logits[0].sigmoid().numpy()
    for index, span in enumerate(SPANS):
        want = reduce(probability[:, list(tokens.span_to_tokens(span))], axis=1).max()
        assert answer.phrase_best_score[index] == pytest.approx(want, abs=1e-5)


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_answers_do_not_depend_on_the_batch(kind: str, directories: dict[str, Path]) -> None:
    requests = [
        request_of(noise_image(80, 120), "a red dog", ((2, 9),)),
        request_of(
            noise_image(80, 120, 1),
            "a cat and a dog in the long grass",
            ((2, 5), (12, 15), (28, 33)),
        ),
        request_of(noise_image(90, 70), "a mouse", ((2, 7),)),
        request_of(noise_image(80, 120, 2), "snow on a big hill.", ((0, 4), (10, 18))),
        request_of(noise_image(3, 40), "a line", ((2, 6),)),
        request_of(noise_image(80, 120, 3), "nothing", ()),
    ]
    options = {"score_floor": 0.01, "nms_iou": 0.9}
    teacher = teacher_of(directories[kind], batch_size=4, **options)
    together = teacher.ground(requests)
    backwards = teacher.ground(requests[::-1])[::-1]
    for request, answer, other in zip(requests, together, backwards, strict=True):
        (alone,) = teacher_of(directories[kind], **options).ground([request])
        assert_same(answer, alone)
        assert_same(answer, other)
    assert sum(len(answer.score) for answer in together) > 0
    assert isinstance(teacher, Grounder)


@pytest.mark.parametrize("kind", KINDS)
def test_only_images_of_one_input_size_share_a_batch(
    kind: str, directories: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = teacher_of(directories[kind])
    shapes: list[tuple[int, ...]] = []
    honest = teacher._encode_images
    monkeypatch.setattr(
        teacher,
        "_encode_images",
        lambda pixels: (shapes.append(tuple(pixels.shape)), honest(pixels))[1],
    )
    sizes = [(80, 120), (70, 120), (160, 240), (64, 64), (200, 31), (31, 200), (65, 66)]
    teacher.ground([request_of(noise_image(*size), "a dog", ((2, 5),)) for size in sizes])
    assert sum(shape[0] for shape in shapes) == len(sizes)
    keys = {teacher.size_key((width, height)) for height, width in sizes}
    assert sorted({shape[:1:-1] for shape in shapes}) == sorted(keys)
    assert len(shapes) == len(keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_class_list_encodes_the_image_once(
    kind: str, directories: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = teacher_of(directories[kind], max_names=3, score_floor=0.0)
    calls: list[int] = []
    honest = teacher._encode_images
    monkeypatch.setattr(
        teacher, "_encode_images", lambda pixels: (calls.append(len(pixels)), honest(pixels))[1]
    )
    names = [f"kind {letter}" for letter in "abcdefgh"]
    image = noise_image(80, 120)
    answer = teacher.detect(image, names)
    assert calls == [1]
    assert (answer.phrase_best_score > 0).all()
    apart = [teacher.detect(image, names[at : at + 3]).phrase_best_score for at in (0, 3, 6)]
    np.testing.assert_allclose(answer.phrase_best_score, np.concatenate(apart), atol=1e-5)
