"""What of a machine labelling, review and the tests need, looked at one by one.

A check says what it found, or what is missing and what to do. It never raises, never installs
and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from schemas.errors import GlipforgeError
from schemas.redaction import shown

MIN_PYTHON = (3, 11)
MIN_MEMORY_BYTES = 3 * 2**30
"""A worker with GLIP-T takes 1.7 GiB, the driver and the parser one more."""
MIN_SHARED_BYTES = 300_000_000
NETWORK_S = 4.0
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

State = Literal["ok", "missing", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the table. `missing`: labelling needs it; `absent`: something else may."""

    part: str
    state: State
    text: str
    """What was found, or what to do."""


def examine(store: str = "") -> Iterator[Finding]:
    """Every check, in the order in which a new machine is set up.

    store: URL of an object store, or a folder, that a run would be written to; not asked if empty.
    """
    for part, check, is_needed in _CHECKS:
        yield _examined(part, check, is_needed=is_needed)
    if store:
        yield _examined("store", lambda: _store(store), is_needed=True)
    else:
        yield Finding(part="store", state="absent", text="not asked; --store s3://BUCKET/FOLDER")


class _Lack(Exception):
    """What is missing, and what to do."""


def _examined(part: str, check: Callable[[], str], *, is_needed: bool) -> Finding:
    try:
        return Finding(part=part, state="ok", text=shown(check()))
    except (_Lack, GlipforgeError) as lack:
        said = str(lack)
    except Exception as error:  # a check of a broken machine meets anything
        said = f"{type(error).__name__}: {error}".splitlines()[0]
    # Addresses of the environment may hold a password: the table is what people send.
    return Finding(part=part, state="missing" if is_needed else "absent", text=shown(said))


def _system() -> str:
    if platform.system() != "Linux":
        raise _Lack(f"{platform.system()}: Glipforge is made for Linux; use a container or WSL 2")
    return f"Linux {platform.release()}, {platform.machine()}"


def _python() -> str:
    here = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info < MIN_PYTHON:
        raise _Lack(f"{here}; 3.11 or newer is needed: make PYTHON=python3.11 install")
    return here


def _cpu() -> str:
    flags: set[str] = set()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        line = next((x for x in info.read_text().splitlines() if x.startswith("flags")), "")
        flags = set(line.split())
    found = [flag for flag in CPU_FLAGS if flag in flags]
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores; {', '.join(found) or 'no vector instructions that torch asks for'}"


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(limit).read_text().strip() if Path(limit).is_file() else "max"
        if text.isdigit():
            total = min(total, int(text))
    said = f"{total / 2**30:.1f} GiB"
    if total < MIN_MEMORY_BYTES:
        raise _Lack(f"{said}; a worker with GLIP-T and its driver need {MIN_MEMORY_BYTES >> 30}")
    return said


def _disk() -> str:
    here = shutil.disk_usage(".").free
    shared = shutil.disk_usage("/dev/shm").total
    said = f"{here / 2**30:.1f} GiB free here, /dev/shm {shared / 2**30:.2f} GiB"
    if shared < MIN_SHARED_BYTES:
        raise _Lack(f"{said}: Ray works through /tmp, slower; start the container with --shm-size")
    return said


def _packages() -> str:
    names = ("torch", "torchvision", "transformers", "timm", "ray", "pyarrow", "PIL", "tokenizers")
    gone = [name for name in names if importlib.util.find_spec(name) is None]
    if gone:
        raise _Lack(f"not installed: {', '.join(gone)}; pip install -r requirements-worker.txt")
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "timm"))


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        return ", ".join(f"{card.name} {card.total_memory / 2**30:.0f} GiB" for card in cards)
    if shutil.which("nvidia-smi"):
        raise _Lack(
            f"nvidia-smi is there, but torch {torch.__version__} sees no GPU: install a torch "
            "built for the driver's CUDA, or give the container the GPU"
        )
    raise _Lack("none: the teacher runs on the CPU")


def _parser() -> str:
    from pipeline.phrases.extract import PhraseExtractor

    parser = PhraseExtractor()
    (phrases,) = parser.extract(["a dog beside a red ball"])
    found = ", ".join(repr(phrase.text) for phrase in phrases)
    return f"{parser.fingerprint().get('model', 'spaCy')} finds {found}"


def _weights() -> str:
    from model.teacher.load import load_teacher

    return f"{load_teacher(device='cpu').teacher_id} is loaded; it has never seen a photograph"


def _ray() -> str:
    from jobs.ray_session import require_answer

    if importlib.util.find_spec("ray") is None:
        raise _Lack("not installed: pip install -r requirements-worker.txt, or --runner local")
    address = os.environ.get("RAY_ADDRESS", "")
    if not address:
        return f"{version('ray')}; started here when a command needs it"
    says = "answers" if require_answer(address) else "was not asked: its address has no port"
    return f"{version('ray')}; the cluster at {address} {says}"


def _database() -> str:
    from pipeline.review.database.mongod_binary import find_mongod

    try:
        fiftyone = version("fiftyone")
    except PackageNotFoundError as error:
        raise _Lack("fiftyone is not installed, review needs it: pip install glipforge") from error
    if uri := os.environ.get("FIFTYONE_DATABASE_URI"):
        return (
            f"fiftyone {fiftyone}, the server of FIFTYONE_DATABASE_URI ({urlsplit(uri).hostname})"
        )
    found = find_mongod(fetch=False)
    return f"fiftyone {fiftyone}, mongod {found.version} ({found.origin})"


def _hub() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise _Lack("HF_HUB_OFFLINE is set: models by name come from the cache only")
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    answer: list[str] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(f"{address}/api/models?limit=1", method="GET")
            with urllib.request.urlopen(request, timeout=NETWORK_S):
                answer.append("")
        except urllib.error.HTTPError as error:
            answer.append("" if error.code < 500 else f"answers {error.code}")
        except (OSError, ValueError) as error:
            answer.append(str(getattr(error, "reason", error)))

    # The system's name look-up has no deadline of ours: it may not hold the others up.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * NETWORK_S)
    said = answer[0] if answer else f"no answer in {2 * NETWORK_S:.0f} s"
    if said:
        raise _Lack(
            f"{address} is not reached ({said}): models by name are not fetched; give --teacher a "
            "directory, or set HF_ENDPOINT"
        )
    return f"{address} answers"


def _chromium() -> str:
    found = next((path for name in CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        raise _Lack("only tests of the review app need it: apt-get install chromium")
    return found


def _store(url: str) -> str:
    from pipeline.storage.probe import require_exclusive_create

    made = _missing_folders(url)
    try:
        require_exclusive_create(url)
    finally:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()
    return f"{url}: written once, refused twice, read, removed"


def _missing_folders(url: str) -> list[Path]:
    """Folders of this machine that writing to a place makes, the innermost first."""
    from pipeline.storage.files import is_local, local_path

    here = Path(local_path(url)) if is_local(url) else Path("/")
    return [folder for folder in (here, *here.parents) if not folder.exists()]


_CHECKS: tuple[tuple[str, Callable[[], str], bool], ...] = (
    ("system", _system, True),
    ("python", _python, True),
    ("cpu", _cpu, False),
    ("memory", _memory, True),
    ("disk", _disk, False),
    ("packages", _packages, True),
    ("gpu", _gpu, False),
    ("parser", _parser, True),
    ("weights", _weights, True),
    ("ray", _ray, True),
    ("review database", _database, False),
    ("hub", _hub, False),
    ("chromium", _chromium, False),
)
