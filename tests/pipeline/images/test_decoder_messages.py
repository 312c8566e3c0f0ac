"""A decoder that a picture has taken over says what it likes: a row with a reason, nothing more."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
from PIL import Image

from pipeline.images import decoder_child, decoders
from pipeline.images.decode import DecodedImage, ImageLimits
from pipeline.images.decoder_messages import (
    MAX_MESSAGE,
    MAX_PICTURES,
    Answer,
    NotAnAnswer,
    Request,
    decode_answers,
    encode_answers,
)
from schemas.errors import RecordError
from schemas.records import Status
from tests.poison import encode

SHA = "0" * 64


def request(*, number: int = 1, only_size: bool = False) -> Request:
    return Request(
        only_size=only_size,
        num_bytes=(100,) * number,
        allowances=(0,) * number,
        limits=ImageLimits(max_pixels=1_000_000, min_side_px=3, max_aspect=7.5),
        cpu_s=2.5,
    )


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (self.path, 0o700)


def test_both_ways() -> None:
    assert Request.decode(request(number=3).encode()) == request(number=3)
    found = [
        Answer(width=9, height=5, sha256=SHA),
        Answer(failure=(Status.IMAGE_CORRUPT, 'so\n"\0\x1b caf\xe9'), may_be_memory=True),
        Answer(has_room=False),
    ]
    assert decode_answers(encode_answers(found), request(number=3)) == found


def test_the_longest_answers_fit_into_a_message() -> None:
    long = Answer(failure=(Status.IMAGE_CORRUPT, "\0\udcff\U0001f436" * 1000))
    message = encode_answers([long] * MAX_PICTURES)
    assert len(message) <= MAX_MESSAGE
    assert decode_answers(message, request(number=MAX_PICTURES))[0].failure is not None


GOOD = [9, 5, SHA, "", "", False, True]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"9" * 6000, "not JSON"),
        (pickle.dumps([Answer(width=9, height=5, sha256=SHA)]), "not JSON"),
        (b"{}", "not a list of 1"),
        ([], "not a list of 1"),
        ([GOOD, GOOD], "not a list of 1"),
        ([GOOD[:-1]], "other types"),
        ([{"width": 9}], "other types"),
        ([[9.0, *GOOD[1:]]], "other types"),
        ([[True, *GOOD[1:]]], "other types"),
        ([[*GOOD[:6], 1]], "other types"),
        ([[10**9, 10**9, *GOOD[2:]]], "1000000000 x 1000000000 pixels"),
        ([[-9, -5, *GOOD[2:]]], "-9 x -5 pixels"),
        ([[0, 0, *GOOD[2:]]], "0 x 0 pixels"),
        ([[9, 5, "../x", "", "", False, True]], "sha256"),
        ([[9, 5, "", "", "", False, True]], "sha256"),
        ([[9, 5, SHA, Status.IMAGE_CORRUPT, "x", False, True]], "has a size"),
        ([[9, 5, SHA, "", "", False, False]], "has a size"),
        ([[0, 0, "", "ok", "x", False, True]], "reason"),
        ([[0, 0, "", Status.IMAGE_CORRUPT, "x" * 5000, False, True]], "reason"),
        ([[0, 0, "", Status.IMAGE_CORRUPT, "\ud800", False, True]], "not text"),
    ],
)
def test_what_is_not_an_answer(message: object, said: str) -> None:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(NotAnAnswer, match=said):
        decode_answers(data, request())


def test_pixels_beyond_what_was_asked_for() -> None:
    each = [1000, 1000, SHA, "", "", False, True]
    assert decode_answers(json.dumps([each]).encode(), request())
    with pytest.raises(NotAnAnswer, match="24,000,000 bytes of pixels"):
        decode_answers(json.dumps([each] * 8).encode(), request(number=8))


def test_a_picture_that_took_its_decoder_over_is_a_row(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(decoder_child, "PROGRAM", "tests.pipeline.images.hostile_decoder")
    monkeypatch.setattr(decoder_child, "LOOK_S", 0.05)
    monkeypatch.setattr(decoders, "MAX_DEATHS", 1)
    touched, processes = tmp_path / "touched", decoders.DecoderProcesses(1, cpu_s=2.0)

    def become(data: bytes) -> decoders.Outcome:
        return processes.decode_all([(data, (9, 9))], ImageLimits(min_side_px=1))[0]

    assert isinstance(become(encode(Image.new("RGB", (9, 9)), "PNG")), DecodedImage)
    unwritten = json.dumps([[100, 100, SHA, "", "", False, True]]).encode()
    said = [become(b"say:" + data) for data in (pickle.dumps(Touch(touched)), unwritten)]
    monkeypatch.setattr(decoder_child, "WAIT", 0.1)
    said.append(become(b"wait"))
    assert [one.detail for one in said if isinstance(one, RecordError)] == [
        "its decoder answered twice what is not an answer: it is not JSON",
        "its decoder crashed twice (code 0)",  # pixels that it never wrote
        "its decoder gives no answer for 0.2 s",
    ]
    assert not touched.exists()
