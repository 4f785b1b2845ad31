"""What ``meatus`` lists of this package; imports nothing of it until a command is called."""

from __future__ import annotations

from meatus.service.commands import SETTINGS, Group, Later

phantom = Group(
    "phantom",
    commands=[
        Later(
            "cohort",
            "meatus_phantom.cli:cohort_command",
            "Write a cohort of phantoms in the challenge's folders.",
        ),
        Later(
            "contours",
            "meatus_phantom.cli:contours_command",
            "Convert real contours to label maps.",
        ),
        Later(
            "check",
            "meatus_phantom.cli:check_command",
            "Measure a cohort and compare with what is known.",
        ),
    ],
    help="Draw heads with known labels, and check them.",
    context_settings=SETTINGS,
)
commands = (phantom,)
