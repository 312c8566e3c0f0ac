"""A decoder that pictures can take over: it does and says what they want.

A picture that begins with `say:` is the answer itself; one that begins with `wait` gets none.
One with `crash` in it ends its process by signal 11, as does any while there is a file where
`CRASH_ONCE` says, which is removed first.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

from pipeline.images.decoder_messages import MAX_MESSAGE, Request, encode_answers
from pipeline.images.decoder_process import READY, SharedPixels, answers_to

if __name__ == "__main__":
    channel = socket.socket(fileno=int(sys.argv[1]))
    pixels = SharedPixels(int(sys.argv[2]))
    channel.sendall(READY)
    while message := channel.recv(MAX_MESSAGE):
        request = Request.decode(message)
        data = os.pread(int(sys.argv[2]), sum(request.num_bytes), 0)
        once = Path(os.environ.get("CRASH_ONCE", os.devnull))
        if is_there := once.is_file():
            once.unlink()
        if is_there or b"crash" in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"wait" in data:
            time.sleep(60)
        start = data.find(b"say:")
        told = data[start + 4 :] if start >= 0 else encode_answers(answers_to(request, pixels))
        channel.sendall(told)
