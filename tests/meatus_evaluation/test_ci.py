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


def test_the_budget_of_the_processor_is_checked_on_every_push_outside_the_image_and_inside(jobs):
    assert "make budget" in commands(jobs["budget"]).splitlines()
    assert not {"if", "needs"} & jobs["budget"].keys()
    steps = commands(jobs["image"]).splitlines()
    built = steps.index("docker build -t meatus:cpu --target cpu .")
    assert steps.index("make budget IMAGE=meatus:cpu") > built


def test_the_budget_of_a_gpu_is_skipped_where_there_is_no_runner_with_one(jobs):
    budget = jobs["budget-gpu"]

    assert "vars.GPU_RUNNER" in budget["runs-on"]
    assert "vars.GPU_RUNNER != ''" in budget["if"]
    (command,) = [step["run"] for step in budget["steps"] if "run" in step]
    assert command == "make budget-gpu"
    made, measured = target("budget-gpu")
    assert "meatus phantom cohort work/budget" in made
    assert "meatus budget work/budget/crossmoda23_test" in measured
    assert "--require-gpu" in measured  # a runner whose GPU does not answer keeps no budget
    assert "--device cuda" in measured  # nor does one on which the processor did the work


def test_the_budget_checks_seconds_memory_accuracy_and_what_was_stored():
    (command,) = target("budget")

    assert "meatus budget tests/scans/hrT2" in command
    for option in ("--max-seconds", "--max-rss-mib", "--min-dice", "--ratios", "--image $(IMAGE)"):
        assert option in command


def test_new_weights_renew_the_stored_ratios_too():
    assert "$(MAKE) renew-ratios" in target("renew-labels")
    assert "--ratios tests/scans/ratios.json --renew" in target("renew-ratios")[0]


def target(name):
    """The commands of a target of the Makefile, each in one line."""
    rest = (ROOT / "Makefile").read_text().split(f"\n{name}:")[1].split("\n\n")[0]
    return [line.strip() for line in rest.replace("\\\n", " ").splitlines()[1:]]
