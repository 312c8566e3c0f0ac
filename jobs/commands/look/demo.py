"""Make a small captioned world and run the whole loop on it: label, filter, review, export,
pretrain, evaluate. Each step is a command that is printed before it runs."""

from __future__ import annotations

from jobs.demo.experiment import ExperimentConfig
from jobs.demo.options import Config
from jobs.demo.steps import RunCommand
from jobs.demo.world import WorldConfig

EXAMPLES = (
    "glipforge demo --scenes 80 --no-open",
    "glipforge demo world --out world --kind corpus --scenes 40",
    "glipforge demo experiment --out experiment --steps 1600",
)


def run(config: Config, run_command: RunCommand) -> int:
    """Run the loop, or the part that was asked for; returns the exit code.

    Args:
        config: The options.
        run_command: Runs a step as a user would type it.
    """
    if isinstance(config.other, WorldConfig):
        from jobs.demo import world as demo_world

        return demo_world.run(config.other)
    if isinstance(config.other, ExperimentConfig):
        from jobs.demo import experiment as demo_experiment

        return demo_experiment.run(config.other, run_command)
    from jobs.demo.loop import DemoLoop

    return DemoLoop(config, run_command).run()
