"""One training step: our way against the reference's way of computing the same, in one run.

    python -m tests.benchmarks.bench_train --preset glip-t --side 320 --batch 2

The reference's way: text padded to 256 tokens, the fusion's projections of every position (not
folded into the words), values kept for the backward pass, one optimiser group for each tensor.
Same weights, data, losses. Each way runs in a process of its own, so that its peak memory is its
own. With --checkpointed-fusion the reference's way computes its fusion a second time, as the
published configurations do on GPUs.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.config import get_preset
from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.losses.glip_loss import GlipLoss
from model.network.dyconv import DyConv
from model.network.fusion import BiAttention
from model.network.glip import Glip
from model.network.grid import AnchorGrid
from model.outputs import TokenBatch
from model.training.batch import BatchBuilder, TrainBatch
from model.training.memory import keep_freed_memory
from model.training.optimizer import OptimizerOptions, RateRule
from model.training.options import TrainOptions
from model.training.schedule import ScheduleOptions
from model.training.step import TrainStep
from model.training.workers import Workers
from pipeline.training_set.example import Prompt, TrainingExample

WORDS = "cat dog lamp tree drum boat kite harp fox owl pear jar hat bus van cup key map net pan"


def unfolded(self: BiAttention, v_BNV: Tensor, l_BTL: Tensor, mask_BT: Tensor):
    """The fusion as the reference computes it: every position projected, scores held whole."""
    v_BNV, l_BTL = self.norm_v(v_BNV), self.norm_l(l_BTL)
    batch, heads, width = len(v_BNV), self.num_heads, self.head_dim

    def split(x: Tensor) -> Tensor:
        return x.view(batch, -1, heads, width).transpose(1, 2)

    query = split(self.query_v(v_BNV) / math.sqrt(width))
    key, value_v, value_l = (
        split(layer(x))
        for layer, x in ((self.key_l, l_BTL), (self.value_v, v_BNV), (self.value_l, l_BTL))
    )
    scores_BHNT = query @ key.transpose(2, 3)
    scores_BHNT = (scores_BHNT - scores_BHNT.max()).clamp(-50000, 50000)
    back_BHTN = scores_BHNT.transpose(2, 3)
    back_BHTN = (back_BHTN - back_BHTN.amax(-1, keepdim=True)).clamp(-50000, 50000).softmax(-1)
    masked = scores_BHNT.masked_fill(mask_BT[:, None, None] == 0, -9e15)
    to_words = torch.dropout(masked.softmax(-1), self.dropout, self.training)
    to_image = torch.dropout(back_BHTN, self.dropout, self.training)
    dv = self.out_v((to_words @ value_l).transpose(1, 2).flatten(2))
    dl = self.out_l((to_image @ value_v).transpose(1, 2).flatten(2))
    return v_BNV + self.gamma_v * dv, l_BTL + self.gamma_l * dl


def make_batches(preset: str, side: int, batch: int, count: int) -> list[TrainBatch]:
    """Noise with three boxes each, under prompts of twenty names."""
    config = get_preset(preset)
    builder = BatchBuilder(
        default_tokenizer(),
        Preprocessor(min_size=side, max_size=2 * side, divisor=config.size_divisor),
        config.max_tokens,
    )
    rng = np.random.default_rng(0)
    names = WORDS.split()
    batches = []
    for _ in range(count):
        examples = []
        for number in range(batch):
            caption = ". ".join(names)
            starts = [caption.index(names[i]) for i in (0, 5, 9)]
            spans = tuple(((s, s + len(names[i])),) for s, i in zip(starts, (0, 5, 9), strict=True))
            low = rng.uniform(0, side / 2, (3, 2))
            boxes = np.concatenate([low, low + rng.uniform(side / 8, side / 2, (3, 2))], 1)
            examples.append(
                TrainingExample(
                    sample_id=str(number),
                    source="noise",
                    image=rng.integers(0, 255, (side, side, 3), dtype=np.uint8),
                    prompt=Prompt(
                        caption=caption,
                        boxes=boxes.astype(np.float32),
                        spans=spans,
                        weights=np.ones(3, dtype=np.float32),
                    ),
                )
            )
        batches.append(builder(examples))
    return batches


def padded(batch: TrainBatch, length: int) -> TrainBatch:
    """The same batch with its text padded as the reference pads it."""
    missing = length - batch.tokens.input_ids_BT.shape[1]
    tokens = TokenBatch(*(torch.nn.functional.pad(x, (0, missing)) for x in batch.tokens))
    return batch._replace(tokens=tokens, text_mask_BT=tokens.attention_mask_BT)


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of one step and peak memory of this process or the GPU."""
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    config = get_preset(args.preset)
    torch.manual_seed(0)
    model = Glip(config).to(device)
    batches = make_batches(args.preset, args.side, args.batch, 2)
    rules: tuple[RateRule, ...] = OptimizerOptions().rules
    if args.way == "reference":
        BiAttention.forward = unfolded  # type: ignore[method-assign]
        batches = [padded(batch, config.max_tokens) for batch in batches]
        # A rate of its own for each tensor keeps the groups apart, as the reference has them.
        names = [name for name, _ in model.named_parameters()]
        rules += tuple(RateRule(pattern=n, rate=1 + 1e-9 * i) for i, n in enumerate(names))
    elif device.type == "cpu":
        keep_freed_memory()
    recomputed = args.recompute
    if args.way == "reference":
        recomputed = ["tower.*.fusion"] if args.checkpointed_fusion else []
    options = TrainOptions(
        steps=1000,
        batch_size=args.batch,
        precision=args.precision,
        optimizer=replace(OptimizerOptions(), rules=rules),
        schedule=ScheduleOptions(kind="constant"),
        activation_checkpointing=tuple(recomputed),
    )
    step = TrainStep(
        model=model,
        loss=GlipLoss(),
        grid=AnchorGrid(config, device),
        options=options,
        directory=Path(),
        device=device,
        workers=Workers(),
    )
    if args.way == "reference":  # its deformable convolution recomputes as ours does
        for module in model.modules():
            if isinstance(module, DyConv):
                module.recomputes = False
    model.train()
    losses: dict[str, float] = {}
    first = 0.0
    seconds = []
    for number in range(args.steps + 1):
        began = time.process_time()
        losses, _ = step(number, [batches[number % 2]])
        first = first or sum(losses.values())
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    return {
        "step_s": float(np.median(seconds[1:])),
        "images_per_s": args.batch / float(np.median(seconds[1:])),
        "peak_gib": peak,
        "groups": len(step.optimizer.param_groups),
        "first_loss": first,
    }


def main() -> None:
    """Run both ways and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="glip-t")
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--recompute", nargs="*", default=[], help="ours: modules, as 'tower.*'")
    parser.add_argument("--checkpointed-fusion", action="store_true")
    parser.add_argument("--way", choices=("ours", "reference"))
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args)))
        return
    found = {}
    for way in ("reference", "ours"):
        command = [sys.executable, "-m", "tests.benchmarks.bench_train", *sys.argv[1:]]
        answer = subprocess.run([*command, "--way", way], check=True, capture_output=True)
        found[way] = json.loads(answer.stdout.splitlines()[-1])
        figures = "  ".join(f"{name} {value:.4g}" for name, value in found[way].items())
        print(f"{way:>10}: {figures}")
    for name in ("step_s", "peak_gib"):
        print(f"ours / reference, {name}: {found['ours'][name] / found['reference'][name]:.2f}")


if __name__ == "__main__":
    main()
