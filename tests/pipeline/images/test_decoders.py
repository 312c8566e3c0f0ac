"""Pictures in processes of their own: equal pixels, and a limit for each kind of damage."""

from __future__ import annotations

import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from pipeline.images import decoder_child
from pipeline.images.decode import DecodedImage, ImageLimits
from pipeline.images.decoders import DecoderProcesses, InProcess
from schemas.errors import RecordError
from schemas.records import Status
from tests.poison import IMAGES, encode

LIMITS = ImageLimits(min_side_px=1)
SLOW = (4000, 3000)
BETWEEN_S = 0.08
"""A fifth of what the slow picture takes, and five times what a process takes for its first."""


@pytest.fixture(scope="module")
def decoders() -> DecoderProcesses:
    return DecoderProcesses(2)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(2).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@cache
def slow_picture() -> bytes:
    return encode(noise(*SLOW), "JPEG", progressive=True)


def decode(
    decoder: DecoderProcesses | InProcess, data: bytes, size_wh: tuple[int, int]
) -> DecodedImage:
    (found,) = decoder.decode_all([(data, size_wh)], LIMITS)
    if isinstance(found, RecordError):
        raise found
    return found


def outcome(decoder: DecoderProcesses | InProcess, data: bytes) -> tuple[object, ...]:
    try:
        size = decoder.size(data, LIMITS)
        found = decode(decoder, data, size)
        return size, found.width, found.height, found.sha256, found.array.tobytes()
    except RecordError as error:
        return error.status, error.detail


def children() -> list[psutil.Process]:
    """Decoder processes that this one has; those of other tests end while it looks."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "pipeline.images.decoder_process" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.parametrize("name", list(IMAGES))
def test_what_the_web_holds_is_as_in_this_process(name: str, decoders: DecoderProcesses) -> None:
    data = IMAGES[name][0]
    assert outcome(decoders, data) == outcome(InProcess(), data)


def test_sizes_follow_each_other_in_one_shared_memory(decoders: DecoderProcesses) -> None:
    pictures = [encode(noise(*size), "PNG") for size in ((9, 5), (31, 3), (900, 9))]
    pictures.append(encode(Image.new("RGB", (2400, 2400), "red"), "PNG"))  # beyond what is kept
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda data: outcome(decoders, data), pictures * 2))
    assert found == [outcome(InProcess(), data) for data in pictures] * 2


def test_pictures_that_share_a_request_are_as_alone(decoders: DecoderProcesses) -> None:
    """Sound ones, damaged ones, empty ones, one that takes all of the memory that is kept."""
    large = encode(Image.new("RGB", (2400, 2300), "red"), "PNG")
    pictures = [data for data, _ in IMAGES.values()]
    pictures = [encode(noise(31, 3), "PNG"), large, *pictures, b"", large]
    sizes = [(max(1, len(data) % 40), 1) for data in pictures]  # no size is what it is said to be
    found = decoders.decode_all(list(zip(pictures, sizes, strict=True)), LIMITS)
    wanted = InProcess().decode_all([(data, (1, 1)) for data in pictures], LIMITS)
    for one, other in zip(found, wanted, strict=True):
        if isinstance(other, RecordError):
            assert isinstance(one, RecordError)
            assert (one.status, one.detail) == (other.status, other.detail)
        else:
            assert isinstance(one, DecodedImage)
            assert (one.array == other.array).all()
            assert one.sha256 == other.sha256


def test_one_that_ends_its_process_costs_the_others_of_its_request_nothing() -> None:
    decoders = DecoderProcesses(2, cpu_s=BETWEEN_S)
    small, slow = encode(noise(9, 9), "PNG"), slow_picture()
    found = decoders.decode_all([(small, (9, 9)), (slow, SLOW), (small, (9, 9))], LIMITS)
    assert [one.width for one in found if isinstance(one, DecodedImage)] == [9, 9]
    assert isinstance(found[1], RecordError)
    assert found[1].detail == "decoding takes more than 0.08 s of processor time"


def test_an_array_is_its_callers_own(decoders: DecoderProcesses) -> None:
    first = decode(decoders, encode(noise(8, 8), "PNG"), (8, 8)).array
    kept = first.copy()
    decode(decoders, encode(Image.new("RGB", (8, 8), "red"), "PNG"), (8, 8))
    assert (first == kept).all()
    assert first.flags.writeable


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM"])
def test_memory_that_is_not_allowed_is_a_row(kind: str) -> None:
    data = encode(Image.new("RGB", (1600, 1200), "red"), kind)
    with pytest.raises(RecordError) as caught:
        decode(DecoderProcesses(1, total_bytes=8 * 2**20), data, (1600, 1200))
    if caught.value.status == Status.IMAGE_TOO_LARGE:
        assert caught.value.detail == "decoding needs more than 8 MiB of memory"
    else:  # a library that says no more than that it could not
        assert caught.value.status == Status.IMAGE_CORRUPT


def test_a_picture_whose_size_says_too_little_gets_the_whole_memory() -> None:
    data = encode(Image.new("RGB", (4000, 3500), "red"), "TIFF")
    decoders = DecoderProcesses(1, total_bytes=300 * 2**20)
    assert decode(decoders, data, (1, 1)).width == 4000


def test_time_that_is_not_allowed_is_a_row() -> None:
    decoders = DecoderProcesses(1, cpu_s=BETWEEN_S)
    with pytest.raises(RecordError, match="more than 0.08 s of processor time") as caught:
        decode(decoders, slow_picture(), SLOW)
    assert caught.value.status == Status.IMAGE_CORRUPT
    assert decode(decoders, encode(noise(9, 9), "PNG"), (9, 9)).width == 9


def test_who_waits_for_a_process_that_dies_gets_another() -> None:
    decoders = DecoderProcesses(1, cpu_s=0.02)
    data = encode(noise(4000, 3000), "PNG")

    def ask() -> None:
        with pytest.raises(RecordError, match=r"takes more than 0.02 s of processor time"):
            decode(decoders, data, (4000, 3000))

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask) for _ in range(3)]
        for one in asked:
            one.result(timeout=300)


def test_a_process_that_was_killed_costs_nothing() -> None:
    decoders = DecoderProcesses(1)
    before = {child.pid for child in children()}
    data = encode(noise(9, 9), "PNG")
    decode(decoders, data, (9, 9))
    (child,) = [child for child in children() if child.pid not in before]
    child.send_signal(signal.SIGSEGV)
    assert decode(decoders, data, (9, 9)).width == 9


def test_a_picture_that_ends_its_process_twice_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_child, "PROGRAM", "tests.pipeline.images.hostile_decoder")
    decoders = DecoderProcesses(1)
    small = encode(noise(9, 9), "PNG")
    with pytest.raises(RecordError, match=r"its decoder crashed twice \(signal 11\)") as caught:
        decode(decoders, b"crash", (9, 9))
    assert caught.value.status == Status.IMAGE_CORRUPT
    assert decode(decoders, small, (9, 9)).width == 9
    found = decoders.decode_all([(data, (9, 9)) for data in (small, b"crash", small)], LIMITS)
    assert [isinstance(one, RecordError) for one in found] == [False, True, False]


def test_a_picture_whose_process_ends_once_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may end of something else: the hostile one removes the file and ends."""
    monkeypatch.setattr(decoder_child, "PROGRAM", "tests.pipeline.images.hostile_decoder")
    monkeypatch.setenv("CRASH_ONCE", str(tmp_path / "there"))
    (tmp_path / "there").touch()
    assert decode(DecoderProcesses(1), encode(noise(9, 9), "PNG"), (9, 9)).width == 9
    assert not (tmp_path / "there").exists()


def test_processes_end_with_their_pool() -> None:
    before = {child.pid for child in children()}

    def work() -> list[psutil.Process]:
        decoders = DecoderProcesses(3)
        data = encode(Image.new("RGB", (2000, 2000)), "PNG")
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: decode(decoders, data, (2000, 2000)), range(6)))
        return [child for child in children() if child.pid not in before]

    started = work()
    assert 1 <= len(started) <= 3
    gc.collect()
    psutil.wait_procs(started, timeout=120)
    assert not [child for child in started if child.is_running()]
