"""How a training runs: on which processes, from what, and what it leaves."""
