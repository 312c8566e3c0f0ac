"""Child processes that do not outlive their parent, and waiting for a port to answer."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel to end this process (SIGTERM) when its parent dies, even by SIGKILL.

    Only Linux can; elsewhere a parent killed by SIGKILL leaves its child running.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run_to_end(
    command: Sequence[str], *, timeout_s: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A command that ended, with what it wrote; it is asked nothing.

    Raises:
        OSError: it does not start.
        subprocess.TimeoutExpired: it did not end in time.
    """
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def last_line(text: str) -> str:
    """The last line of an output that says something, for an error message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def stop_child(child: subprocess.Popen[bytes], *, patience_s: float) -> int:
    """End a child by SIGTERM, after `patience_s` by SIGKILL; returns its exit code."""
    if child.poll() is None:
        child.terminate()
        try:
            return child.wait(patience_s)
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_answers(port: int, host: str = LOOPBACK) -> bool:
    """True where something accepts connections."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def log_tail(path: Path, lines: int = 8) -> str:
    """The last lines of a log file, for an error message; a dash where there is none."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return "-"
    return "\n".join(text.strip().splitlines()[-lines:]) or "-"


def module_root() -> Path:
    """The directory that holds the packages of this product: the working directory of children.

    `python -m` puts the working directory on the path, so that a child finds the same code.
    """
    return Path(os.path.abspath(__file__)).parents[2]
