"""Which detectors of transformers can teach, and what their scores are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.files.model_type import model_type as model_type_of
from model.teacher.options import Aggregation
from schemas.grounder import ScoreFacts

CONFIG_NAME = "config.json"
GLIP = "glip"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorKind:
    """One `model_type` of transformers.

    model_type: as its config.json says it.
    name: as its authors write it.
    aggregation: of the probabilities of a phrase's words, where a phrase has several.
    scores: what its scores are. The thresholds are those of the named sources; none was measured
        by this project.
    """

    model_type: str
    name: str
    aggregation: Aggregation
    scores: ScoreFacts


_WORDS = "best word probability of the phrase (its mean with --aggregation mean)"
KINDS: Mapping[str, DetectorKind] = {
    kind.model_type: kind
    for kind in (
        DetectorKind(
            model_type="grounding-dino",
            name="Grounding DINO",
            aggregation="max",
            scores=ScoreFacts(
                recommended_threshold=0.35,
                meaning=f"{_WORDS}; 0.35 is the box threshold of its authors' demo",
            ),
        ),
        DetectorKind(
            model_type="mm-grounding-dino",
            name="MM-Grounding-DINO, LLMDet",
            aggregation="max",
            scores=ScoreFacts(
                recommended_threshold=0.4,
                meaning=f"{_WORDS}; 0.4 is the threshold of transformers' examples",
            ),
        ),
        DetectorKind(
            model_type="owlv2",
            name="OWLv2",
            aggregation="max",
            scores=ScoreFacts(
                recommended_threshold=0.3,
                meaning="probability of the phrase at an image patch; OWL-ST keeps images with a "
                "box over 0.3, transformers' default is 0.1",
            ),
        ),
        DetectorKind(
            model_type="owlvit",
            name="OWL-ViT",
            aggregation="max",
            scores=ScoreFacts(
                recommended_threshold=0.1,
                meaning="probability of the phrase at an image patch; 0.1 is transformers' default",
            ),
        ),
        DetectorKind(
            model_type="omdet-turbo",
            name="OmDet-Turbo",
            aggregation="max",
            scores=ScoreFacts(
                recommended_threshold=0.3,
                meaning="probability of the phrase, from a cosine; 0.3 is transformers' default",
            ),
        ),
    )
}


def model_type(directory: Path) -> str:
    """What a model directory says it is: `glip`, or a key of `KINDS`.

    Raises:
        ConfigError: no configuration, a model that cannot teach, or one that brings code of its
            own.
    """
    return model_type_of(directory, (GLIP, *KINDS))
