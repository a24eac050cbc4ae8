"""One training loop, its checkpoints, evaluation and contribution maps."""
