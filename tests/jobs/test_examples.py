"""The examples are files that their readers accept, with commands that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

import jobs
from tests.benchmarks.plan_a_run import RunPlan, table
from tests.golden.make_flags import FILE as FLAGS

EXAMPLES = Path(jobs.__file__).parent / "examples"


def read(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def flags_of(text: str) -> set[str]:
    """The flags behind `jobs label` in a text."""
    command = text[text.index("jobs label") :].replace("\\", " ")
    return set(re.findall(r"--[a-z][a-z-]*", command))


def known_flags() -> set[str]:
    lines = FLAGS.read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.startswith("label ")}


def test_the_rayjob_is_one() -> None:
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert flags_of(spec["entrypoint"]) <= known_flags()
    assert spec["rayClusterSpec"]["rayVersion"] == ray.__version__
    groups = [spec["rayClusterSpec"]["headGroupSpec"], *spec["rayClusterSpec"]["workerGroupSpecs"]]
    for group in groups:
        assert group["rayStartParams"] is not None
        for container in group["template"]["spec"]["containers"]:
            assert {"name", "image", "resources"} <= container.keys()
    (worker,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]
    assert f"--workers {worker['maxReplicas']} " in spec["entrypoint"]
    assert yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]


def test_the_cluster_fits_rays_own_schema() -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = read("cluster.yaml")
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    assert cluster["head_node_type"] in cluster["available_node_types"]
    text = (EXAMPLES / "cluster.yaml").read_text(encoding="utf-8")
    assert flags_of(text.split("cluster_name:")[0].replace("#", " ")) <= known_flags()


@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_the_plan_shows_the_table_that_its_script_prints(rate: float) -> None:
    plans = [RunPlan(pairs=n, unit=4096, gpus=64, rate=rate) for n in (24e6, 100e6, 1e9)]
    page = (EXAMPLES / "PLANNING.md").read_text(encoding="utf-8")
    for name, *values in (line.split(" | ") for line in table(plans).splitlines()[2:]):
        shown = next(line for line in page.splitlines() if line.startswith(name))
        assert " | ".join(values).rstrip(" |") in shown
