"""What ``meatus`` lists of this package; imports nothing of it until a command is called."""

from __future__ import annotations

from meatus.service.commands import Later

commands = (
    Later(
        "score",
        "meatus_evaluation.commands.scores:score",
        "Score label maps against a reference, case by case.",
    ),
    Later("rank", "meatus_evaluation.commands.scores:rank", "Rank teams as crossMoDA does."),
    Later(
        "compare",
        "meatus_evaluation.commands.scores:compare_results",
        "Compare two results on the same cases.",
    ),
    Later(
        "growth",
        "meatus_evaluation.commands.studies:measure_growth",
        "Measure what changed between two label maps of one patient.",
    ),
    Later(
        "reliability",
        "meatus_evaluation.commands.studies:measure_reliability",
        "Compare probabilities and flags with reference label maps.",
    ),
    Later(
        "budget",
        "meatus_evaluation.commands.benchmarks:budget",
        "Check seconds and memory of predict against budgets.",
    ),
    Later(
        "stages", "meatus_evaluation.commands.benchmarks:stages", "Time each stage of the main job."
    ),
    Later(
        "bench",
        "meatus_evaluation.commands.benchmarks:bench",
        "Time the scoring of a large case against MedPy.",
    ),
)
