"""A detector of transformers as a teacher: raw scores of every query for every phrase.

The library's post-processing is never called: it keeps one phrase for each box, cuts phrases at
word pieces, and takes the best score of any word, of a full stop too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.teacher.answer import AnswerParts
from model.teacher.asking import DTYPES, BatchedTeacher, PromptT, Question
from model.teacher.detectors.kinds import DetectorKind
from model.teacher.detectors.pixels import DetectorPixels
from model.teacher.options import TeacherOptions
from model.teacher.postprocess import Detections, suppress
from schemas.errors import RecordError
from schemas.records import Status

CANDIDATES = 1000
"""Best boxes of each phrase that meet in the suppression; as many as GLIP's of a level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorParts:
    """What a directory of transformers holds, and who it is.

    model: in evaluation mode, on `device`.
    tokenizer, image_processor: of transformers.
    weights: what identifies it, for the fingerprint.
    """

    kind: DetectorKind
    model: Any
    tokenizer: Any
    image_processor: Any
    teacher_id: str
    weights: Mapping[str, object]
    options: TeacherOptions
    device: torch.device


class RawBoxes(NamedTuple):
    """What a network says of one image and one prompt.

    cxcywh_Q4: centre and size as shares of the frame.
    scores_QL: of each query for each target of the prompt, in [0, 1].
    """

    cxcywh_Q4: Tensor
    scores_QL: Tensor


class DetectorTeacher(BatchedTeacher[PromptT]):
    """What all of them share. Only images of one input size share a batch.

    Score and token score are the same, centerness is 1.
    """

    def __init__(self, parts: DetectorParts) -> None:
        super().__init__(
            teacher_id=parts.teacher_id,
            options=parts.options,
            scores=parts.kind.scores,
            device=parts.device,
        )
        self.kind = parts.kind
        self.pixels = DetectorPixels(
            parts.image_processor, min_size=parts.options.min_size, max_size=parts.options.max_size
        )
        self._model: Any = parts.model
        self._weights = dict(parts.weights)

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the answers, as JSON."""
        return {
            "teacher_id": self._teacher_id,
            **self._weights,
            "options": dict(self.options.fingerprint()),
        }

    def size_key(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of the network's input."""
        return self.pixels.size_key(size_wh)

    @abstractmethod
    def _encode_images(self, pixels_B3HW: Tensor) -> Any:
        """What is computed once for an image, however many prompts it has."""

    @abstractmethod
    def _ask(self, images: Any, rows: Sequence[int], prompts: Sequence[PromptT]) -> list[RawBoxes]:
        """The answer to one prompt for each row of the encoded images."""

    def _frame(self, size_wh: tuple[int, int]) -> tuple[float, float]:
        """What the shares of the network's boxes are shares of, in pixels of the image."""
        return float(size_wh[0]), float(size_wh[1])

    def _prepare(self, image: NDArray[np.uint8]) -> Tensor:
        return self.pixels.read(image)

    def _run_group(
        self,
        questions: Sequence[Question[PromptT]],
        places: Sequence[int],
        prepared: Sequence[Tensor],
    ) -> list[tuple[int, AnswerParts]]:
        pixels_B3HW = torch.stack(list(prepared))
        pairs = [
            (row, prompt)
            for row, place in enumerate(places)
            for prompt in questions[place].plan.prompts
        ]
        dtype = DTYPES[self.options.precision]
        raw: list[RawBoxes] = []
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            images = self._encode_images(pixels_B3HW.to(self.device))
            for first in range(0, len(pairs), self.batch_size):
                chunk = pairs[first : first + self.batch_size]
                rows, prompts = [row for row, _ in chunk], [prompt for _, prompt in chunk]
                raw += self._ask(images, rows, prompts)
        answers = []
        for (row, prompt), found in zip(pairs, raw, strict=True):
            question = questions[places[row]]
            height, width = question.image.shape[:2]
            boxes = self._select(found, (width, height))
            answers.append((places[row], AnswerParts.of(boxes, question.indices(prompt))))
        return answers

    def _select(self, raw: RawBoxes, size_wh: tuple[int, int]) -> Detections:
        """Candidates of each phrase in pixels of the image; what has no area in it goes."""
        options = self.options.postprocess()
        frame = torch.tensor(self._frame(size_wh) * 2, dtype=torch.float64)
        image = torch.tensor(size_wh * 2, dtype=torch.float64)
        center_Q4, scores_QL = raw.cxcywh_Q4.double(), raw.scores_QL.float()
        frame, image = frame.to(center_Q4.device), image.to(center_Q4.device)
        half = center_Q4[:, 2:] / 2
        corners = torch.cat([center_Q4[:, :2] - half, center_Q4[:, :2] + half], 1)
        xyxy_Q4 = torch.minimum((corners * frame).clamp(min=0), image)
        # Not "has area": NaN has none either, and must not vanish here.
        is_outside_Q = (xyxy_Q4[:, 2:] <= xyxy_Q4[:, :2]).any(1)
        scores_QL = scores_QL.masked_fill(is_outside_Q[:, None], 0.0)
        best_L = scores_QL.amax(0)
        top = scores_QL.topk(min(CANDIDATES, len(scores_QL)), dim=0)
        alive = (top.values > options.token_threshold) & (top.values >= options.score_floor)
        rank, label = (alive & (top.values > 0)).nonzero().unbind(1)
        query = top.indices[rank, label]
        # The suppression counts the last pixel into a box; these corners are half-open.
        inclusive = xyxy_Q4[query] - xyxy_Q4.new_tensor([0, 0, 1, 1])
        scores = top.values[rank, label]
        order = scores.argsort(descending=True, stable=True)
        return suppress(
            Detections(
                inclusive[order],
                label[order],
                scores[order],
                scores[order],
                torch.ones_like(scores),
                best_L,
            ),
            options,
        )


def refuse_too_few_places(error: RuntimeError, size_hw: Sequence[int], num_queries: int) -> None:
    """Say what a network's own error means that chooses its queries among the places of an image.

    Args:
        error: as it was raised; nothing is done where it is another one.
        size_hw: of the network's input.
        num_queries: that it looks at.

    Raises:
        RecordError: there are fewer places than that.
    """
    if "out of range" not in str(error):
        return
    height, width = size_hw
    raise RecordError(
        Status.IMAGE_TOO_SMALL,
        f"at this teacher's input of {width} x {height} pixels an image has fewer places than the "
        f"{num_queries} that it looks at",
    ) from error


class RowsOnce(nn.Module):
    """A network's image tower that can be asked in advance, and then answers from that.

    Args:
        tower: Called with the pixels, and what else it wants.
    """

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower
        self.kept: Any = None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("tower"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The kept answer, else the tower's."""
        return self.tower(*args, **kwargs) if self.kept is None else self.kept
