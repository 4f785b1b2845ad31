"""A crew of one, for tests."""

from meatus_training.runs.run_context import Launch, RunContext


def crew_of_one(work, should_stop=lambda: False):
    launch = Launch(accelerator="cpu")
    return RunContext(work, launch, launch.fabric(), should_stop)
