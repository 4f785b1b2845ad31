"""What ``meatus`` lists of this package; imports nothing of it until a command is called."""

from __future__ import annotations

from meatus.service.commands import SETTINGS, Group, Later

train = Group(
    "train",
    commands=[
        Later(
            "prepare",
            "meatus_training.prepare.stage:prepare_command",
            "Check scans and bring them onto the networks' grid.",
        ),
        Later(
            "translate",
            "meatus_training.translation.stage:translate",
            "Train a translator from ceT1 to hrT2, and translate.",
        ),
        Later(
            "epochs",
            "meatus_training.translation.epochs:epochs",
            "Show a translator's kept epochs side by side.",
        ),
        Later(
            "segment",
            "meatus_training.segmentation.cli:segment",
            "Train a segmentation network; goes on where it stopped.",
        ),
        Later(
            "selftrain",
            "meatus_training.selftraining.stage:selftrain",
            "Label real hrT2 scans and train on plausible labels.",
        ),
        Later(
            "reproduce",
            "meatus_training.reproduce.cli:reproduce",
            "Make an ensemble from scans, through all stages.",
        ),
        Later(
            "ladder",
            "meatus_training.reproduce.ladder:ladder",
            "Train rung by rung on phantoms and compare the rungs.",
        ),
        Later(
            "export",
            "meatus_training.cli:export",
            "Write an ONNX file once every runtime agrees with torch.",
        ),
        Later(
            "import-checkpoint",
            "meatus_training.cli:import_command",
            "Convert a checkpoint in the published format.",
        ),
        Later(
            "quantise",
            "meatus_training.cli:quantise",
            "Add an int8 network to an ONNX file.",
        ),
        Later(
            "manifest", "meatus_training.cli:manifest", "Write the manifest of a folder of weights."
        ),
        Later(
            "engines",
            "meatus_training.cli:engines",
            "Compare the label maps of all runtimes with PyTorch's.",
        ),
        Later(
            "bench",
            "meatus_training.bench.commands:bench",
            "Time the main job beside the published pipeline's work.",
        ),
        Later(
            "bench-scaling",
            "meatus_training.bench.commands:bench_scaling",
            "Draw how seconds and memory grow with a scan.",
        ),
        Later(
            "bench-engines",
            "meatus_training.bench.commands:bench_engines",
            "Time ways to run the network on this processor.",
        ),
    ],
    help="Make the weights: the stages of the training, export.",
    context_settings=SETTINGS,
)
commands = (train,)
