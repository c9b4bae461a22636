"""Small pictures on which only some operations help, what a supernet's method is made on, and who hears its process."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from automl.catalog import compose
from automl.catalog import space as spaces
from automl.nas.method import Ground
from automl.search.genotypes import architectures_alone
from automl.spec import Measurement, Modality, Profile, Recipe, SearchSettings
from automl.training.samples import Samples

SIDE, ROWS = 8, 512
PROFILE = Profile(
    modality=Modality.IMAGE, task="image-classification", rows=ROWS, classes=2, class_min=ROWS // 2, outputs=2,
    image_shape=(SIDE, SIDE, 1),
)


def pairs(rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Dots in pairs, three places apart: below each other (1) or side by side (0). A dot alone tells nothing, and the two
    lie farther apart than the first convolution sees: who tells them apart has to combine places behind it."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, rows).astype(np.int32)
    images = np.zeros((rows, SIDE, SIDE, 1), np.uint8)
    for image, label in zip(images, labels):
        for row, column in rng.integers(0, SIDE, (3, 2)):
            down, right = (3, 0) if label else (0, 3)
            image[row, column] = image[(row + down) % SIDE, (column + right) % SIDE] = 255
    return images, labels


def ground(strategy: str, family: str, params: dict, settings: dict) -> Ground:
    """On `pairs`, without augmentation, which would undo them."""
    images, labels = pairs()
    space = architectures_alone(
        spaces.derive(
            PROFILE.task, PROFILE, SearchSettings(strategy=strategy, force=(family,), forbid=("random-crop", "flip"))
        )
    )
    made = space.recipe(space.default(), 1)
    recipe = Recipe.from_dict(
        {**made.to_dict(), "architecture": {"id": family, "params": {**made.architecture.params, **params}}}
    )
    samples = Samples(
        {"image": images}, labels, 2, {"image": images[:128]}, labels[:128],
        {"height": SIDE, "width": SIDE, "channels": 1, "modality": "image"},
    )
    meta = SimpleNamespace(profile=PROFILE, kind="classification", task=PROFILE.task)
    return Ground(recipe, compose.plan_of(recipe, PROFILE), meta, samples, settings)


class Session:
    """Hears the rounds; `killed_after` as many the process is gone."""

    def __init__(self, killed_after: int | None = None, stopped_after: int | None = None):
        self.rounds: list[Measurement] = []
        self.killed_after, self.stopped_after = killed_after, stopped_after

    def beat(self) -> None: ...

    def should_stop(self) -> bool:
        return False

    def epoch(self, measurement: Measurement) -> bool:
        self.rounds.append(measurement)
        if len(self.rounds) == self.killed_after:
            raise KeyboardInterrupt
        return len(self.rounds) != self.stopped_after
