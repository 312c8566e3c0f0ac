"""Fuzzing of images, addresses and servers: an image or a reason, in bounded time and memory.

    python -m tests.pipeline.images.fuzz --cases 100000 --seed 1

A third of the cases are damaged images, a third damaged answers of a server, a third damaged
addresses. Nothing but `RecordError` may come out, within the deadline. A failure prints its
number: `--only N` repeats it. Prints the peak memory of the process and the longest case.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from collections import Counter

from pipeline.images import web
from pipeline.images.decode import ImageLimits, decode_image, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import RecordError
from tests.hostile_server import HostileServer, answer, hostile_server, say
from tests.poison import IMAGES

_GOOD = [data for data, _ in IMAGES.values() if len(data) > 12]
_PIECES = (b"\0", b"\xff", b"\r\n", b"\r\n\r\n", b":", b"-1", b"9" * 30, b"chunked", b"gzip", b"%")
_HEADERS = (
    "",
    "Transfer-Encoding: chunked\r\n",
    "Content-Encoding: gzip\r\n",
    "Content-Encoding: br, gzip, deflate, zstd\r\n",
    "Location: /other\r\n",
    "Location: //[\r\n",
    "Retry-After: 1e9\r\n",
    "Retry-After: -5\r\n",
    "Connection: close\r\n",
    "Set-Cookie: a=b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 99999999999999999999999\r\n",
)
_STATUSES = ("200 OK", "200", "301 Moved", "206 Partial", "404 No", "429 Slow", "503 Busy", "999 ?")
_ADDRESSES = (
    "http://{host}/x.jpg",
    "HTTP://{host}/a b\u00e9\u65e5.jpg?x=1#y",
    "http://me:pass@{host}/x",
    "https://{host}/x",
    "file:///nowhere/x.jpg",
    "s3a:///x",
    "/nowhere/x.tar#a.jpg",
    "/nowhere/x.parquet#0/image",
    "gs://bucket/x",
    "simplecache::http://{host}/x",
    "../x.jpg",
)
DEADLINE_S = 0.5
MOST_S = 20.0
"""Of a case: one that hangs is found, one on a busy machine is not."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four damages."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        stop = min(len(data), place + rng.choice((1, 1, 2, 4, 30)))
        kind = rng.randrange(5)
        if kind == 0 and place < len(data):
            data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        elif kind == 1:
            data = data[:place] + rng.randbytes(stop - place) + data[stop:]
        elif kind == 2:
            data = data[:place] + rng.choice(_PIECES) + data[place:]
        elif kind == 3:
            data = data[:place] + data[stop:]
        else:
            data = data[:place] if rng.random() < 0.3 else data + data[place:stop]
    return data


class ImageFuzzer:
    """Cases against one server. `outcomes` counts what they led to."""

    def __init__(self, server: HostileServer, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.limits = ImageLimits(max_pixels=4_000_000)
        self.outcomes: Counter[str] = Counter()
        self.longest = (0.0, -1)
        web.WEB_DEADLINE_S = DEADLINE_S
        web.FIRST_WAIT_S = 0.001

    def run(self, number: int) -> None:
        """One case.

        Raises:
            AssertionError: names the case and what came out.
        """
        rng = random.Random(f"{self.seed}/{number}")
        kinds = {"image": self._image, "server": self._server, "address": self._address}
        name = rng.choice(sorted(kinds))
        began = time.monotonic()
        try:
            kinds[name](rng)
            self.outcomes[f"{name} ok"] += 1
        except RecordError as error:
            self.outcomes[f"{name} {error.status}"] += 1
            if not error.detail:
                raise AssertionError(f"case {number}: no reason") from error
        except Exception as error:
            raise AssertionError(
                f"case {number} ({name}): {type(error).__name__}: {error}"
            ) from error
        spent = time.monotonic() - began
        self.longest = max(self.longest, (spent, number))
        assert spent < MOST_S, f"case {number} ({name}) took {spent:.1f} s"

    def _image(self, rng: random.Random) -> None:
        data = mutated(rng.choice(_GOOD), rng)
        image_size(data, self.limits)
        decode_image(data, self.limits)

    def _server(self, rng: random.Random) -> None:
        body = rng.choice(_GOOD)[:20_000]
        headers = "".join(rng.sample(_HEADERS, rng.randint(0, 3)))
        length = rng.choice((None, None, -1, 0, len(body) + 7, 10**15))
        reply = answer(body, status=rng.choice(_STATUSES), headers=headers, length=length)
        if rng.random() < 0.7:
            head = mutated(reply[:400], rng)
            reply = head + reply[400:]
        path = f"/{rng.randrange(10**9)}"
        self.server.replies = {path: [say(reply)], "/other": [answer(body)]}
        read_image_uri(self.server.url + path)

    def _address(self, rng: random.Random) -> None:
        host = f"127.0.0.1:{self.server.port}"
        address = rng.choice(_ADDRESSES).format(host=host)
        raw = mutated(address.encode(), rng).decode("utf-8", "replace")
        if "127.0.0.1" not in raw and raw.lower().lstrip().startswith("http"):
            raw = address  # no name server is asked
        self.server.replies = {}
        read_image_uri(raw)


def main() -> int:
    """Run cases; prints figures as JSON, exits 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one case to run")
    options = parser.parse_args()
    numbers = range(options.cases) if options.only is None else [options.only]
    failures = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile_server() as server:
        fuzzer = ImageFuzzer(server, options.seed)
        for number in numbers:
            try:
                fuzzer.run(number)
            except AssertionError as error:
                failures += 1
                print(error, file=sys.stderr)
    figures = {
        "cases": len(numbers),
        "failures": failures,
        "outcomes": dict(fuzzer.outcomes.most_common()),
        "longest seconds, case": fuzzer.longest,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "MiB before": before // 1024,
    }
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
