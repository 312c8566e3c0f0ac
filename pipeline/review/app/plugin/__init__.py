"""The review plugin: FiftyOne finds this directory by `FIFTYONE_PLUGINS_DIR`.

The directory is served to browsers, source included, so it holds this registration and the page's
JavaScript, and nothing else.
"""

from __future__ import annotations

from typing import Any

from pipeline.review.app.box_operators import (
    AcceptAbove,
    CopyBox,
    ExportView,
    MergePhrases,
    UndoAny,
)
from pipeline.review.app.caption_panel import CaptionPanel
from pipeline.review.app.duplicates_operator import ShowDuplicates
from pipeline.review.app.likeness_operator import SortByLikeness
from pipeline.review.app.operators import (
    AcceptLabels,
    JudgeImage,
    ReadSample,
    RejectLabels,
    RelabelPhrase,
    UndoLast,
)
from pipeline.review.app.phrase_operators import NewPhrase, SplitPhrase
from pipeline.review.app.progress_panel import Begin, ProgressPanel, ReadProgress

PARTS = (
    AcceptLabels,
    RejectLabels,
    RelabelPhrase,
    JudgeImage,
    UndoLast,
    ReadSample,
    CopyBox,
    NewPhrase,
    SplitPhrase,
    MergePhrases,
    AcceptAbove,
    UndoAny,
    ExportView,
    SortByLikeness,
    ShowDuplicates,
    ReadProgress,
    Begin,
    CaptionPanel,
    ProgressPanel,
)


def register(plugin: Any) -> None:
    """Called by FiftyOne when it loads the plugin."""
    for part in PARTS:
        plugin.register(part)
