"""The main job on four real sets: quality at a wall-clock budget, the budget itself, the first usable model, goodput."""
