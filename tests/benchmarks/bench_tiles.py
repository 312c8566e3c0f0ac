"""What tiles find of small things: `python -m tests.benchmarks.bench_tiles [--scenes 60]`.

Drawn scenes of 256 x 256 pixels with objects of 8 to 16 pixels, and gold for each phrase. The
shipped teacher is asked with and without tiles in one process; recall is that of `evaluate`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from pipeline.evaluation.teacher import TeacherQuestions, teacher_figures
from pipeline.gold import load_gold
from pipeline.world import CorpusShape, SceneOptions, nouns_of, write_gold

SIDE, SMALLEST, LARGEST = 256, 8, 16
GRIDS = ("1x1", "2x2", "3x3", "4x4")


def main() -> None:
    """Print recall and seconds for each grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--grids", nargs="+", default=list(GRIDS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scenes = SceneOptions(side=SIDE, size=(SMALLEST / SIDE, LARGEST / SIDE), max_copies=1)
        shape = CorpusShape(
            name="small", scenes=given.scenes, nouns=nouns_of("seen"), options=scenes
        )
        grounding, _ = write_gold(shape, Path(folder))
        gold = load_gold(str(grounding))
        for tiles in given.grids:
            teacher = load_teacher(
                device="cpu", options=TeacherOptions(score_floor=0.0, tiles=tiles)
            )
            began = time.perf_counter()
            found = teacher_figures(teacher, gold, TeacherQuestions())
            seconds = time.perf_counter() - began
            recall = found.recalls[0]
            figures = "  ".join(f"R@{k} {value.value:.3f}" for k, value in recall.recall.items())
            bound = recall.upper_bound.value
            print(
                f"tiles {tiles}  {figures}  any {bound:.3f}  {recall.num_phrases} phrases  "
                f"{seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
