"""Make `optimizer_groups.json` from the reference's tables of every parameter's rate and decay.

    python -m tests.golden.training.make_optimizer_groups DIRECTORY

DIRECTORY holds `glip_t.optim_groups.tsv`, `glip_t_a.optim_groups.tsv`, `glip_l.optim_groups.tsv`
with the columns key, lr, weight_decay ("frozen" instead of a rate where there is no gradient).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

GOLDEN = Path(__file__).with_name("optimizer_groups.json")
UNUSED = "rpn.head.cls_logits."
"""The reference's layer without a task; our network does not have it."""


def summary(rows: Iterable[tuple[str, str]]) -> dict[str, dict[str, object]]:
    """For each group its number of keys, and the hash of the keys in order."""
    groups: dict[str, list[str]] = {}
    for key, group in rows:
        groups.setdefault(group, []).append(key)
    return {
        group: {
            "count": len(keys),
            "sha256": hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest(),
        }
        for group, keys in sorted(groups.items())
    }


def group_name(rate: float, decay: float) -> str:
    """How a group is called in the golden file."""
    return "frozen" if rate == 0 else f"{rate:.0e} {decay:.0e}"


def main(directory: Path) -> None:
    golden = {}
    for preset in ("glip-t", "glip-t-a", "glip-l"):
        table = directory / f"{preset.replace('-', '_')}.optim_groups.tsv"
        rows = [line.split("\t") for line in table.read_text().splitlines()[1:]]
        golden[preset] = summary(
            (key, "frozen" if rate == "frozen" else group_name(float(rate), float(decay)))
            for key, rate, decay in rows
            if not key.startswith(UNUSED)
        )
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
