"""Whether a run makes captions instead of boxes."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.plan import Plan

CAPTION_TASK = "caption"
"""`task` of the teacher in the plan of a captioning."""


def captioner_of(plan: Plan) -> str:
    """Who makes the captions of a plan's run; empty where it is a labelling."""
    teacher = plan.config.get("teacher")
    if not isinstance(teacher, Mapping) or teacher.get("task") != CAPTION_TASK:
        return ""
    return str(teacher.get("model")) or "a captioner"
