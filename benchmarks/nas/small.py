"""The data and the training that small comparisons of architectures share: cifar10_subset at 16×16, some thousand pictures.

Half of the pictures train, half validate (fold 0 of 2). Everything but the architecture is as `--strategy evolution` trains.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from automl.catalog import space as spaces
from automl.catalog.space import Space
from automl.data.prepared import PreparedDataset
from automl.search.genotypes import architectures_alone
from automl.spec import Choice, DataSettings, JobSpec, Recipe, SearchSettings
from automl.spec.recipe import ParameterValue

NAME, TASK, METRIC = "cifar10_subset at 16×16", "image-classification", "accuracy"
SIDE = 16
EACH = 408
"""Pictures a class: 400 for the folds, the rest goes into a test part that nobody looks at."""
SEED = 42
"""Of the choice of pictures."""
FOLD = "0/2"


def prepared(data: Path, work: Path, each: int = EACH) -> PreparedDataset:
    """The pictures as trainings take them, under `work`; made once."""
    from automl.data.prepare import prepare
    from automl.data.source import Source

    cut = work / f"cifar{SIDE}-{each}.zip"
    if not cut.exists():
        work.mkdir(parents=True, exist_ok=True)
        _cut(data / "cifar10_subset" / "cifar10_subset.zip", cut, each)
    spec = JobSpec(dataset="cifar", task=TASK, metric=METRIC, data=DataSettings(test_fraction=0.02))
    return prepare(spec, TASK, Source(cut), None, work / f"prepared-{each}")


def _cut(source: Path, made: Path, each: int) -> None:
    from PIL import Image

    classes: dict[str, list[str]] = {}
    with zipfile.ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            parts = Path(name).parts
            if len(parts) == 4 and parts[1] == "train":
                classes.setdefault(parts[2], []).append(name)
        temporary = made.with_suffix(".tmp")
        with zipfile.ZipFile(temporary, "w") as cut:
            for label, names in sorted(classes.items()):
                for name in random.Random(SEED).sample(names, each):
                    picture = Image.open(io.BytesIO(archive.read(name))).resize((SIDE, SIDE), Image.Resampling.BOX)
                    out = io.BytesIO()
                    picture.save(out, "PNG")
                    cut.writestr(f"{label}/{Path(name).stem}.png", out.getvalue())
    temporary.rename(made)


def space_of(data: PreparedDataset, architecture: str, **params: str) -> Space:
    """The space of one architecture, with some of its parameters set ("width": "8"), all else as evolution trains."""
    settings = SearchSettings(
        strategy="evolution", force=(architecture,), parameters={f"{architecture}.{k}": v for k, v in params.items()}
    )
    return architectures_alone(spaces.derive(TASK, data.meta.profile, settings))


def recipe_of(
    space: Space, architecture: str, params: Mapping[str, ParameterValue], epochs: int, batch: int = 128, seed: int = 1
) -> Recipe:
    """A training of that architecture on the first fold."""
    like = space.recipe(space.default(), seed)
    choice = Choice(id=architecture, params={**like.architecture.params, **params})
    return like.model_copy(update={"architecture": choice, "epochs": epochs, "batch_size": batch, "fold": FOLD})
