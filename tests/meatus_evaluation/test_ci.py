"""What runs on a push, and where."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def jobs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads "on" as true
    return workflow["jobs"]


def commands(job):
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_tests_and_the_image_are_built_on_every_push(jobs):
    assert ".ci/run" in commands(jobs["test"])
    assert "make image-test" in commands(jobs["image"])
    assert not {"if", "needs"} & (jobs["test"].keys() | jobs["image"].keys())


def test_the_budget_runs_on_a_gpu_runner_and_is_skipped_where_there_is_none(jobs):
    budget = jobs["budget"]

    assert "vars.GPU_RUNNER" in budget["runs-on"]
    assert "vars.GPU_RUNNER != ''" in budget["if"]
    (command,) = [step["run"] for step in budget["steps"] if "run" in step]
    assert command.startswith("make budget ")
    assert "--require-gpu" in command  # a runner whose GPU does not answer keeps no budget
    assert "--device cuda" in command  # nor does one on which the processor did the work


def test_the_budget_is_measured_on_scans_made_for_it():
    target = (ROOT / "Makefile").read_text().split("\nbudget:")[1].split("\n\n")[0]

    made, measured = target.splitlines()[1:]
    assert "meatus phantom cohort work/budget" in made
    assert "meatus budget work/budget/crossmoda23_test $(BUDGET)" in measured
