"""Detectors of transformers as teachers, held against the library's own numbers of each query."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

from model.teacher.load import load_teacher, teacher_identity
from model.teacher.options import TeacherOptions
from schemas.errors import ConfigError, RecordError
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus
from tests.model.teacher.tiny_detectors import KINDS, write_detector

WORDS = ("grounding-dino", "mm-grounding-dino")
QUERIES = ("owlv2", "owlvit", "omdet-turbo")
EVERYTHING = TeacherOptions(
    score_floor=0.0, token_threshold=0.0, nms_iou=1.0, max_boxes_per_phrase=0, aggregation="max"
)
CAPTION = "A red dog and the café's cat"
SPANS = ((0, 9), (14, 28), (18, 22))


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("detectors")
    return {kind: write_detector(kind, root / kind) for kind in KINDS}


def _image(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng((height, width, seed))
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def _request(image: np.ndarray, caption: str = CAPTION, spans: tuple = SPANS) -> GroundingRequest:
    phrases = tuple(Phrase(text=caption[a:b], start=a, end=b) for a, b in spans)
    return GroundingRequest(image=image, caption=caption, phrases=phrases)


@lru_cache(maxsize=32)
def _teacher(directory: Path, **options: Any) -> Any:
    return load_teacher(directory, device="cpu", options=TeacherOptions(**options))


def _same(a: Grounding, b: Grounding, atol: float = 1e-5) -> None:
    assert len(a.score) == len(b.score)
    np.testing.assert_allclose(a.score, b.score, atol=atol)
    np.testing.assert_allclose(a.phrase_best_score, b.phrase_best_score, atol=atol)
    np.testing.assert_array_equal(np.sort(a.phrase_index), np.sort(b.phrase_index))
    for index in range(len(a.phrase_status)):
        mine, other = a.xyxy[a.phrase_index == index], b.xyxy[b.phrase_index == index]
        np.testing.assert_allclose(mine[np.lexsort(mine.T)], other[np.lexsort(other.T)], atol=0.01)


# --- the library's own numbers -------------------------------------------------------------------


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
    request = _request(_image(*size), spans=spans)
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
    request = _request(_image(20, 100), spans=((2, 9),))
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
    (answer,) = teacher.ground([_request(_image(80, 120))])
    tokens = teacher.tokenizer.tokenize(CAPTION)
    pieces = [CAPTION[slice(*tokens.offsets[t])] for t in tokens.span_to_tokens(SPANS[1])]
    assert pieces == ["the", "café", "'", "s", "cat"][: len(pieces)]
    processor = AutoProcessor.from_pretrained(directories[kind])
    model = AutoModelForZeroShotObjectDetection.from_pretrained(directories[kind]).eval()
    with torch.inference_mode():
        inputs = processor(images=_image(80, 120), text=CAPTION + ".", return_tensors="pt")
        probability = model(**inputs).logits[0].sigmoid().numpy()
    for index, span in enumerate(SPANS):
        want = reduce(probability[:, list(tokens.span_to_tokens(span))], axis=1).max()
        assert answer.phrase_best_score[index] == pytest.approx(want, abs=1e-5)


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_answers_do_not_depend_on_the_batch(kind: str, directories: dict[str, Path]) -> None:
    requests = [
        _request(_image(80, 120), "a red dog", ((2, 9),)),
        _request(
            _image(80, 120, 1), "a cat and a dog in the long grass", ((2, 5), (12, 15), (28, 33))
        ),
        _request(_image(90, 70), "a mouse", ((2, 7),)),
        _request(_image(80, 120, 2), "snow on a big hill.", ((0, 4), (10, 18))),
        _request(_image(3, 40), "a line", ((2, 6),)),
        _request(_image(80, 120, 3), "nothing", ()),
    ]
    options = {"score_floor": 0.01, "nms_iou": 0.9}
    teacher = _teacher(directories[kind], batch_size=4, **options)
    together = teacher.ground(requests)
    backwards = teacher.ground(requests[::-1])[::-1]
    for request, answer, other in zip(requests, together, backwards, strict=True):
        (alone,) = _teacher(directories[kind], **options).ground([request])
        _same(answer, alone)
        _same(answer, other)
    assert sum(len(answer.score) for answer in together) > 0
    assert isinstance(teacher, Grounder)


@pytest.mark.parametrize("kind", KINDS)
def test_only_images_of_one_input_size_share_a_batch(
    kind: str, directories: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = _teacher(directories[kind])
    shapes: list[tuple[int, ...]] = []
    honest = teacher._encode_images
    monkeypatch.setattr(
        teacher,
        "_encode_images",
        lambda pixels: (shapes.append(tuple(pixels.shape)), honest(pixels))[1],
    )
    sizes = [(80, 120), (70, 120), (160, 240), (64, 64), (200, 31), (31, 200), (65, 66)]
    teacher.ground([_request(_image(*size), "a dog", ((2, 5),)) for size in sizes])
    assert sum(shape[0] for shape in shapes) == len(sizes)
    keys = {teacher.size_key((width, height)) for height, width in sizes}
    assert sorted({shape[:1:-1] for shape in shapes}) == sorted(keys)
    assert len(shapes) == len(keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_class_list_encodes_the_image_once(
    kind: str, directories: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = _teacher(directories[kind], max_names=3, score_floor=0.0)
    calls: list[int] = []
    honest = teacher._encode_images
    monkeypatch.setattr(
        teacher, "_encode_images", lambda pixels: (calls.append(len(pixels)), honest(pixels))[1]
    )
    names = [f"kind {letter}" for letter in "abcdefgh"]
    image = _image(80, 120)
    answer = teacher.detect(image, names)
    assert calls == [1]
    assert (answer.phrase_best_score > 0).all()
    apart = [teacher.detect(image, names[at : at + 3]).phrase_best_score for at in (0, 3, 6)]
    np.testing.assert_allclose(answer.phrase_best_score, np.concatenate(apart), atol=1e-5)


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WORDS)
def test_a_final_full_stop_is_always_there(kind: str, directories: dict[str, Path]) -> None:
    teacher = _teacher(directories[kind], score_floor=0.0)
    for text in ("a black cat", "a black cat?", 'a "black cat"', "a black cat. ", "a black cat."):
        assert teacher.tokenizer.tokenize(text).ids[-2:] == (1012, 102)
    image = _image(80, 120)
    with_stop, without = teacher.ground(
        [_request(image, text, ((2, 11),)) for text in ("a black cat.", "a black cat")]
    )
    _same(with_stop, without)


@pytest.mark.parametrize("kind", WORDS)
def test_a_caption_of_1000_words_is_asked_in_windows(
    kind: str, directories: dict[str, Path]
) -> None:
    sentence = "There was a red thing in the room today. "
    caption = sentence * 120
    spans = tuple((n * len(sentence) + 10, n * len(sentence) + 21) for n in range(120))
    request = _request(_image(64, 64), caption, spans)
    teacher = _teacher(directories[kind], score_floor=0.0, max_boxes_per_phrase=1)
    (answer,) = teacher.ground([request])
    assert set(answer.phrase_status) == {PhraseStatus.OK}
    assert (answer.phrase_best_score > 0).all()
    plan = teacher._plan_caption(caption, [[span] for span in spans])
    assert max(len(prompt.tokenized) for prompt in plan.prompts) <= 256


@pytest.mark.parametrize("extra", range(6))
def test_captions_about_the_limit_lose_no_phrase(extra: int, directories: dict[str, Path]) -> None:
    caption = "dog " * (250 + extra) + "cat"
    spans = ((0, 3), (len(caption) - 3, len(caption)))
    teacher = _teacher(directories["grounding-dino"])
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
    teacher = _teacher(directories[kind], score_floor=0.0)
    (answer,) = teacher.ground([_request(_image(80, 120), caption, spans)])
    assert [status.value for status in answer.phrase_status] == ["truncated", "ok", "truncated"]
    assert set(answer.phrase_index.tolist()) == {1}
    assert answer.phrase_best_score[[0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("kind", QUERIES)
def test_a_box_that_two_phrases_share_is_found_for_both(
    kind: str, directories: dict[str, Path]
) -> None:
    teacher = load_teacher(directories[kind], device="cpu", options=EVERYTHING)
    (answer,) = teacher.ground([_request(_image(80, 120), "dog dog", ((0, 3), (4, 7)))])
    first, second = answer.phrase_index == 0, answer.phrase_index == 1
    np.testing.assert_allclose(answer.score[first], answer.score[second], atol=1e-6)
    np.testing.assert_allclose(answer.xyxy[first], answer.xyxy[second], atol=1e-3)


def test_omdets_task_names_every_class_of_its_prompt(directories: dict[str, Path]) -> None:
    teacher = _teacher(directories["omdet-turbo"])
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
    request = _request(_image(height, width), "a dog", ((2, 5),))
    teacher = _teacher(directories[kind], score_floor=0.0)
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
        _teacher(directories[kind]).ground([_request(_image(5, 0), "a dog", ((2, 5),))])


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
    teacher = _teacher(tmp_path / "broken", score_floor=0.0)
    with pytest.raises(RecordError, match="teacher_failed: .* of NaN"):
        teacher.ground([_request(_image(80, 120), "a dog", ((2, 5),))])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_answers_are_close(kind: str, directories: dict[str, Path]) -> None:
    request = _request(_image(64, 64), "a dog", ((2, 5),))
    (exact,) = _teacher(directories[kind]).ground([request])
    (rough,) = _teacher(directories[kind], precision="bfloat16").ground([request])
    assert rough.xyxy.dtype == np.float32
    np.testing.assert_allclose(exact.phrase_best_score, rough.phrase_best_score, atol=0.1)


# --- directories ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_needs_no_network(kind: str, directories: dict[str, Path]) -> None:
    options = TeacherOptions(score_floor=0.2)
    loaded = load_teacher(directories[kind], device="cpu", options=options)
    identity = teacher_identity(directories[kind], options=options)
    assert (identity[0], identity[1]) == (loaded.teacher_id, loaded.fingerprint())
    assert loaded.teacher_id.startswith(f"{kind}@")
    assert 0 < loaded.scores.recommended_threshold < 1
    json.dumps(identity[1], allow_nan=False)


@pytest.mark.parametrize("name", ["tokenizer.json", "processor_config.json", "config.json"])
def test_every_file_that_is_read_changes_the_identity(
    name: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "other")
    path = tmp_path / "other" / name
    path.write_text(path.read_text() + "\n")
    assert teacher_identity(tmp_path / "other")[0] != teacher_identity(directories["owlv2"])[0]


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    config = {"model_type": "rex-omni", "auto_map": {"AutoModel": "modeling_rex.Rex"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling_rex.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ConfigError, match="trust_remote_code: 'rex-omni'.*run code of its repos"):
        load_teacher(tmp_path, device="cpu")


def test_a_model_that_cannot_teach_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "florence2"}')
    with pytest.raises(ConfigError, match="one of glip, grounding-dino, .*, got 'florence2'"):
        load_teacher(tmp_path, device="cpu")


def test_weights_that_may_hold_code_are_not_read(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlvit"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no \*.safetensors; .*may hold code"):
        load_teacher(tmp_path / "m", device="cpu")


def test_weights_that_do_not_fit_are_named(directories: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "m")
    path = tmp_path / "m" / "model.safetensors"
    state = load_file(path)
    del state["box_head.dense0.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"1 tensors are missing, first box_head.dense0.weight"):
        load_teacher(tmp_path / "m", device="cpu")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="cannot be read as OWLv2"):
        load_teacher(tmp_path / "m", device="cpu")


@pytest.mark.parametrize(
    "names, message",
    [
        (("tokenizer.json", "tokenizer_config.json"), "has no tokenizer of OWLv2"),
        (("processor_config.json",), "has no image processor of OWLv2"),
    ],
)
def test_missing_files_are_named(
    names: tuple[str, ...], message: str, directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["owlv2"], tmp_path / "m")
    for name in names:
        (tmp_path / "m" / name).unlink()
    with pytest.raises(ConfigError, match=message):
        load_teacher(tmp_path / "m", device="cpu")


def test_another_vocabulary_than_berts_is_refused(
    directories: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(directories["grounding-dino"], tmp_path / "m")
    path = tmp_path / "m" / "tokenizer.json"
    raw = json.loads(path.read_text())
    vocab = raw["model"]["vocab"]
    vocab["."], vocab[","] = vocab[","], vocab["."]
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match=r"'\.' at 1010; Grounding DINO needs bert-base-uncased"):
        load_teacher(tmp_path / "m", device="cpu")


def test_a_fixed_input_size_cannot_be_changed(directories: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="min_size and max_size .* its input is 64 x 64 pixels"):
        _teacher(directories["owlv2"], min_size=320)
    larger = _teacher(directories["grounding-dino"], min_size=96, max_size=200)
    assert larger.size_key((100, 100)) == (96, 96)


@pytest.mark.parametrize("kind", WORDS)
def test_words_that_the_vocabulary_lacks_are_not_asked(
    kind: str, directories: dict[str, Path]
) -> None:
    teacher = _teacher(directories[kind], score_floor=0.0)
    answer = teacher.detect(_image(64, 64), ["狗", "dog", "(x)"])
    assert [status.value for status in answer.phrase_status] == ["truncated", "ok", "truncated"]
