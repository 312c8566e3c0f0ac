"""What demo and experiment share: a folder with its options, and steps that are commands."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError, GlipforgeError

OPTIONS = "demo.json"
RunCommand = Callable[[Sequence[str]], int]


class StepFailed(GlipforgeError):
    """A command did not end with 0."""


@dataclass(frozen=True, kw_only=True)
class DemoSteps:
    """Commands of the product, printed as a user would type them and run in this process.

    out: Where everything is written; belongs to one set of options.
    run: Runs a command line, without the program's name; gives the exit code.
    """

    out: Path
    run: RunCommand

    def prepare(self, options: Mapping[str, object], *, fresh: bool) -> None:
        """Make the folder, or take up the one that an equal call left.

        Raises:
            ConfigError: the folder was made with other options, or is somebody else's.
        """
        path = self.out / OPTIONS
        if path.exists() and fresh:
            shutil.rmtree(self.out)
        wanted = json.loads(json.dumps(options, default=str))
        if path.exists():
            before = json.loads(path.read_text())
            changed = [
                f"{name}: {before.get(name)!r} before, now {wanted.get(name)!r}"
                for name in sorted(before.keys() | wanted.keys())
                if before.get(name) != wanted.get(name)
            ]
            if changed:
                raise ConfigError(
                    f"{self.out} was made with other options ({'; '.join(changed)}); give "
                    "another --out, or --fresh to begin again"
                )
        elif self.out.exists() and any(self.out.iterdir()):
            raise ConfigError(f"out: {self.out} is not empty and no demo's; give another --out")
        self.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(wanted, indent=1) + "\n")

    def say(self, text: str) -> None:
        """A heading."""
        print(f"\n== {text}", flush=True)

    def command(self, *words: object, shown: str = "") -> None:
        """Run a command; `shown` is printed as `shipped`.

        Raises:
            StepFailed: it did not end with 0; it has said why.
        """
        args = [str(word) for word in words]
        text = shlex.join(args)
        print(f"\n$ glipforge {text.replace(shown, 'shipped') if shown else text}", flush=True)
        code = self.run(args)
        if code:
            raise StepFailed(
                f"`glipforge {args[0]}` ended with {code}; what it said is above. The same command "
                "goes on here"
            )

    def commands_at_once(self, logs: Mapping[Path, Iterable[object]], at_once: int) -> None:
        """Run commands in processes of their own, `at_once` of them together, in their order.

        logs: The words of each command under the file that takes what it prints.

        Raises:
            StepFailed: some did not end with 0; raised when all have ended.
        """

        def run(log: Path, words: Iterable[object]) -> int:
            args = [str(word) for word in words]
            print(f"\n$ glipforge {shlex.join(args)} >> {log}", flush=True)
            with log.open("ab") as out:
                call = [sys.executable, "-m", "jobs", *args]
                return subprocess.run(call, stdout=out, stderr=subprocess.STDOUT).returncode

        with ThreadPoolExecutor(at_once) as threads:
            codes = dict(zip(logs, threads.map(run, logs, logs.values()), strict=True))
        failed = ", ".join(f"{log} (ended with {code})" for log, code in codes.items() if code)
        if failed:
            raise StepFailed(f"failed: {failed}; the same command goes on here")

    def draw(self, folder: Path, *options: object) -> None:
        """Draw a part of the world, if it is not there; half a part is drawn again."""
        done = folder.parent / f".{folder.name}-drawn"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            self.command("demo", "world", "--out", folder, *options)
            done.write_text("")
