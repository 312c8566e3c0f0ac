"""What the operating system says, in words of ours, and nowhere in its own."""

from __future__ import annotations

import ast
import errno
import os
import socket
import ssl
from pathlib import Path

import pytest

from schemas.errors import os_sentence, reason_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "pipeline", "model", "jobs")
SYSTEM = {"OSError", "FileNotFoundError", "PermissionError"}
AS_THEY_ARE = {
    "pipeline/images/web.py",  # of names of hosts
    "pipeline/storage/errors.py",  # where there is no number, so no words of ours
}


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_of_the_system_is_a_sentence(number: int) -> None:
    error = OSError(number, os.strerror(number), "/runs/1/x.json")
    text = os_sentence(error)
    assert text == f"/runs/1/x.json: {reason_of(error)}"
    assert len(text) > len("/runs/1/x.json: ") + 4
    assert "Errno" not in text


def test_a_path_of_bytes_is_said_as_text() -> None:
    """Libraries open files by bytes, as the writer of TensorBoard does."""
    error = OSError(errno.ENOSPC, "", b"/x/caf\xc3\xa9")
    assert os_sentence(error).startswith("/x/caf\u00e9: nothing more can be written there")


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError("tensor is missing"), "tensor is missing"),
        (OSError(), "OSError"),
        (ValueError(), "ValueError"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "service not known"),
        (ssl.SSLError(1, "certificate verify failed"), "certificate verify failed"),
        (OSError(99999, "what no system knows"), "what no system knows"),
    ],
)
def test_what_is_not_of_the_system_keeps_its_own_words(error: Exception, said: str) -> None:
    assert said in reason_of(error)
    if isinstance(error, OSError):
        assert os_sentence(error, "/x").startswith("/x: ")
        assert said in os_sentence(error, "/x")


def test_no_message_shows_the_text_of_the_system() -> None:
    """ "[Errno 13] Permission denied: 'x'" is for programmers."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if str(path.relative_to(ROOT)) not in AS_THEY_ARE
        for line in _raw_texts(ast.parse(path.read_text()))
    ]
    assert not found, "say it with schemas.errors.reason_of or os_sentence"


def _raw_texts(tree: ast.AST) -> list[int]:
    """Lines of messages that hold an error of the system as it is."""
    lines = []
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if SYSTEM.isdisjoint(ast.unparse(kind) for kind in kinds):
            continue
        lines += [
            value.lineno
            for value in ast.walk(handler)
            if isinstance(value, ast.FormattedValue)
            and isinstance(value.value, ast.Name)
            and value.value.id == handler.name
            and value.conversion == -1
        ]
    return lines
