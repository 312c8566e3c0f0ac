"""SAM over the boxes of a run: a mask for each box, as COCO's run lengths.

The picture goes through the large image encoder once; boxes are asked in parts, since masks are
scaled up to the whole picture in float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest

BACKEND = "torchvision"
MAX_BOXES = 16


class MaskScorer:
    """Makes the layer `masks` with SAM, SAM 2 or SAM 3's tracker.

    Args:
        model, processor: of transformers.
        identity: what identifies the weights.
        device: where the model is.
    """

    kinds: tuple[LayerKind, ...] = (KINDS["masks"],)

    def __init__(
        self, *, model: Any, processor: Any, identity: Mapping[str, Any], device: torch.device
    ) -> None:
        self._model = model
        self._processor = processor
        self._identity = dict(identity)
        self._device = device

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights and image processor."""
        return {**self._identity, "image_processor": BACKEND}

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        """Masks of every box, one picture at a time."""
        return [{"masks": self._masks(request)} for request in requests]

    @torch.inference_mode()
    def _masks(self, request: LayerRequest) -> dict[str, Any]:
        found: dict[str, Any] = {"counts": [], "area": [], "iou_score": []}
        if not len(request.boxes):
            return found
        from pycocotools import mask as run_lengths

        image = request.image
        size = [list(image.shape[:2])]
        pixels = self._processor(
            images=image, input_data_format="channels_last", return_tensors="pt"
        )
        embeddings = self._model.get_image_embeddings(pixels["pixel_values"].to(self._device))
        for first in range(0, len(request.boxes), MAX_BOXES):
            part = request.boxes[first : first + MAX_BOXES].astype(float).tolist()
            given = self._processor(
                images=image,
                input_boxes=[part],
                input_data_format="channels_last",
                return_tensors="pt",
            )
            out = self._model(
                image_embeddings=embeddings,
                input_boxes=given["input_boxes"].float().to(self._device),
                multimask_output=False,
            )
            sizes = (
                [size, given["reshaped_input_sizes"]] if "reshaped_input_sizes" in given else [size]
            )
            masks = self._processor.post_process_masks(out.pred_masks.cpu(), *sizes)[0][:, 0]
            for mask in masks.numpy().astype(np.uint8):
                encoded = run_lengths.encode(np.asfortranarray(mask))
                found["counts"].append(encoded["counts"].decode("ascii"))
                found["area"].append(int(run_lengths.area(encoded)))
            found["iou_score"] += out.iou_scores.float().cpu().reshape(-1).tolist()
        return found
