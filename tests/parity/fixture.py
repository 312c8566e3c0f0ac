"""A file of recorded tensors, and the comparison with ours."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

BOX_TOLERANCE, SCORE_TOLERANCE = 0.05, 1e-3
NORM_TOLERANCE = 1e-3
PACKED = "packed"


@dataclass(frozen=True)
class Line:
    """One comparison. error: largest difference over the largest magnitude."""

    name: str
    error: float
    limit: float
    detail: str = ""

    @property
    def passed(self) -> bool:
        """NaN does not pass."""
        return self.error <= self.limit

    def __str__(self) -> str:
        mark = "ok  " if self.passed else "FAIL"
        return f"{mark} {self.error:9.2e} (limit {self.limit:.0e})  {self.name}  {self.detail}"


@dataclass
class Fixture:
    """Arrays of one recorded run; a tensor is whole under its name, or sampled below it."""

    arrays: dict[str, NDArray]
    meta: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    norm_tolerance: float = NORM_TOLERANCE
    """Of a tensor's L2 norm; half precision cannot hold it."""

    @classmethod
    def read(cls, path: Path) -> Fixture:
        """Read a file."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        if PACKED in arrays:
            arrays = unpack(arrays)
        return cls(arrays, json.loads(bytes(arrays["meta"])))

    @property
    def preset(self) -> str:
        """Which of our presets the run was made with, by what it holds."""
        if "model" in self.meta:
            return str(self.meta["model"]).replace("_", "-")
        modules = {name.split("/")[1] for name in self.arrays if name.startswith("tower/")}
        if "23_dyconv" in modules:
            return "glip-l"
        return "glip-t" if "00_vlfuse" in modules else "glip-t-a"

    def has(self, name: str) -> bool:
        """Whether the tensor was recorded."""
        return name in self.arrays or f"{name}/idx" in self.arrays

    def shape(self, name: str) -> tuple[int, ...]:
        """Of the whole tensor."""
        if name in self.arrays:
            return self.arrays[name].shape
        return tuple(int(side) for side in self.arrays[f"{name}/shape"])

    def tensor(self, name: str) -> Tensor:
        """A tensor that was recorded whole."""
        return torch.from_numpy(self.arrays[name])

    def compare(self, name: str, ours: Tensor, limit: float) -> None:
        """Add a line if the tensor was recorded."""
        if not self.has(name):
            return
        self.seen.add(name)
        got = ours.detach().float().cpu().numpy()
        if tuple(got.shape) != self.shape(name):
            detail = f"shape {tuple(got.shape)}, recorded {self.shape(name)}"
            self.lines.append(Line(name, float("inf"), limit, detail))
            return
        if name in self.arrays:
            want, values = self.arrays[name], got
        else:
            want, values = self.arrays[f"{name}/val"], got.reshape(-1)[self.arrays[f"{name}/idx"]]
        error, detail = relative_error(values, want), ""
        if f"{name}/stat" in self.arrays:
            want_norm = float(self.arrays[f"{name}/stat"][4])
            norm = float(np.sqrt((got.astype(np.float64) ** 2).sum()))
            if not abs(norm - want_norm) <= self.norm_tolerance * max(want_norm, 1e-6):
                error, detail = float("inf"), f"L2 norm {norm:.6g}, recorded {want_norm:.6g}"
        self.lines.append(Line(name, error, limit, detail))

    def compare_detections(
        self, name: str, boxes_net: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> None:
        """Add a line for detections in any order: the share of those without a partner."""
        if f"{name}/scores" not in self.arrays:
            return
        self.seen |= {f"{name}/{part}" for part in ("boxes_net", "boxes", "scores", "labels")}
        want = {
            part: self.arrays[f"{name}/{part}"]
            for part in ("boxes_net", "boxes", "scores", "labels")
        }
        got_boxes = np.concatenate([boxes_net.numpy(), boxes.numpy()], 1)
        free = np.ones(len(scores), bool)
        missing = 0
        for net, original, score, label in zip(*want.values(), strict=True):
            fits = free & (labels.numpy() == label)
            fits &= np.abs(scores.numpy() - score) < SCORE_TOLERANCE
            distance = np.abs(got_boxes - np.concatenate([net, original])).max(1, initial=0)
            fits &= distance < BOX_TOLERANCE
            if fits.any():
                free[np.flatnonzero(fits)[0]] = False
            else:
                missing += 1
        alone = missing + int(free.sum())
        detail = f"{len(want['scores'])} recorded, {len(scores)} ours, {alone} without a partner"
        self.lines.append(Line(name, alone / max(len(want["scores"]), 1), 0.0, detail))


def relative_error(got: NDArray, want: NDArray) -> float:
    """Largest difference over the largest recorded magnitude."""
    if want.size == 0:
        return 0.0
    largest = max(float(np.abs(want).max()), 1e-12)
    return float(np.abs(got.astype(np.float64) - want).max()) / largest


def unpack(arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    """Arrays of a small copy (see `tests/parity/compact.py`) under a fixture's names."""
    full = dict(arrays)
    start = 0
    for name, shape, norm, count in json.loads(bytes(full.pop(PACKED))):
        stop = start + count
        full[f"{name}/shape"] = np.array(shape)
        full[f"{name}/idx"] = arrays["packed/idx"][start:stop]
        full[f"{name}/val"] = arrays["packed/val"][start:stop]
        full[f"{name}/stat"] = np.array([np.nan, np.nan, np.nan, np.nan, norm])
        start = stop
    for name in [name for name in full if name.startswith("png/")]:
        full[name.replace("png/", "image/")] = np.asarray(Image.open(io.BytesIO(full.pop(name))))
    return full
