"""The parser in a process of its own: the same phrases, and no trouble that outlives a caption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from pipeline.labelling.pairs import Pair, Seconds, extract_window
from pipeline.labelling.retries import Retries
from pipeline.phrases.extract import PhraseExtractor, PhraseOptions
from pipeline.phrases.parser_process import ParserDied, PhraseProcess
from schemas.errors import MissingDependency, RecordError
from schemas.records import CorpusRecord, Phrase, Status

CAPTIONS = ["a dog", "", "  two cats   near\n a café", "A MAN IN A RED HAT", "x" * 9_000]


@pytest.fixture(scope="module")
def process() -> PhraseProcess:
    return PhraseProcess()


def test_it_is_the_extractor(process: PhraseProcess) -> None:
    extractor = PhraseExtractor()
    assert process.extract(CAPTIONS) == extractor.extract(CAPTIONS)
    assert process.extract([]) == []
    assert process.fingerprint() == extractor.fingerprint()


def test_several_threads_get_their_own_answers(process: PhraseProcess) -> None:
    found: dict[int, list[tuple[Phrase, ...]]] = {}

    def ask(number: int) -> None:
        found[number] = process.extract([f"a dog and {number} cats"] * (number + 1))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, answer in found.items():
        assert answer == process.extract([f"a dog and {number} cats"] * (number + 1))


def test_exceptions_arrive_as_they_are(process: PhraseProcess) -> None:
    with pytest.raises(RecordError, match="half a surrogate pair|not UTF-8: byte") as caught:
        process.extract(["a dog", "\ud800"])
    assert caught.value.status == Status.CAPTION_INVALID
    assert process.extract(["a dog"])
    with pytest.raises(MissingDependency, match="no spaCy model no_such_model is installed"):
        PhraseProcess(PhraseOptions(model="no_such_model")).fingerprint()


def test_a_process_that_dies_is_replaced(process: PhraseProcess) -> None:
    process.extract(["a dog"])
    process._child.kill()
    with pytest.raises(ParserDied, match=r"ended \(code -9\)"):
        process.extract(["a dog"])
    ((phrase,),) = process.extract(["a dog"])
    assert phrase.text == "a dog"


def test_a_caption_that_ends_the_process_costs_itself(
    process: PhraseProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = PhraseProcess.extract

    def deadly(self: PhraseProcess, captions: list[str]) -> list[tuple[Phrase, ...]]:
        if any("deadly" in caption for caption in captions):
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()
        return ask(self, captions)

    monkeypatch.setattr(PhraseProcess, "extract", deadly)
    texts = ["a dog", "a deadly dog", "a cat"]
    pairs = [
        Pair(ordinal=n, record=CorpusRecord(record_id=str(n), caption=text))
        for n, text in enumerate(texts)
    ]
    retries = Retries()
    extract_window(pairs, process, Seconds(), retries)
    (failure,) = retries.found()
    assert (failure.stage, failure.batches) == ("phrases", 1)
    assert failure.first.startswith("ParserDied: the parser's process ended (code -9)")
    assert [pair.failure is None for pair in pairs] == [True, False, True]
    assert pairs[1].failure is not None
    status, detail = pairs[1].failure
    assert status is Status.CAPTION_INVALID
    assert "ParserDied: the parser's process ended (code -9)" in detail
    assert [phrase.text for phrase in pairs[2].phrases] == ["a cat"]


def test_it_ends_with_a_parent_that_is_killed() -> None:
    code = (
        "import time; from pipeline.phrases.parser_process import PhraseProcess; "
        "p = PhraseProcess(); p.extract(['a dog']); print(p._child.pid, flush=True); time.sleep(99)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 120
    while not has_ended(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert has_ended(child)


def has_ended(process: psutil.Process) -> bool:
    """Also where whoever adopted it has not waited for it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_ends_with_its_owner() -> None:
    process = PhraseProcess()
    child = process._child
    del process
    assert child.returncode is not None
