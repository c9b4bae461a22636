"""Members trained on folds, and the model that averages them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from automl.data.encoder import TableEncoder
from automl.data.prepared import PreparedDataset
from automl.spec import Choice, Fidelity, Recipe
from automl.tasks import metrics
from automl.training import candidate, ensemble, prediction, result, trainer

from .conftest import Case, make_table, recipe


def members(case: Case, folder: Path, count: int = 3) -> list[Path]:
    """Candidates of different recipes, each on all rows but its fold."""
    scalings = ("standardization", "quantile-scaling", "minmax-scaling")
    found = []
    for k in range(count):
        own = case.recipe.model_copy(
            update={
                "fold": f"{k}/5", "seed": k,
                "techniques": tuple(
                    Choice(id=scalings[k]) if c.id == "standardization" else c for c in case.recipe.techniques
                ),
            }
        )
        trainer.train(
            Recipe.from_dict(own.to_dict()), case.data, fidelity=Fidelity(epochs=3), metric=case.metric,
            workdir=folder / str(k), on_epoch=lambda m: True, part=own.part,
        )
        found.append(folder / str(k))
    return found


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_an_ensemble_gives_the_mean_of_its_members(tmp_path: Path, kind: str) -> None:
    case = Case(make_table(tmp_path / "data", kind), recipe(f"tabular-{kind}"))
    folders = members(case, tmp_path / "members")
    whole = case.recipe.model_copy(update={"members": (case.recipe,)})
    answer = ensemble.blend(
        {
            "members": [str(f) for f in folders], "prepared": str(case.path), "metric": case.metric,
            "out": str(tmp_path / "out"), "recipe": whole.to_dict(),
        }
    )
    inputs = case.data.inputs("train+validation")
    alone = [
        prediction.predict(folder, TableEncoder.from_dict(candidate.preprocess(folder)).transform(inputs))
        for folder in folders
    ]
    encoder = TableEncoder.from_dict(json.loads((tmp_path / "out" / "preprocess.json").read_text()))
    # Missing values of the column "d" add an indicator for every member.
    assert encoder.widths == {"numeric": 15, "categorical": 1}
    together = prediction.predict(tmp_path / "out", encoder.transform(inputs))
    np.testing.assert_allclose(together, np.mean(alone, axis=0), rtol=1e-5, atol=1e-5)
    account = result.read(tmp_path / "out")
    truth = np.asarray(case.data.target("validation"))
    expected = metrics.evaluate(f"tabular-{kind}", truth, np.load(tmp_path / "out" / "validation.npy"))
    assert account.score == pytest.approx(expected[case.metric]) == pytest.approx(answer["score"])
    assert account.validation_seen
    assert account.parameters == sum(result.read(folder).parameters for folder in folders) == answer["parameters"]


def test_a_member_is_validated_on_the_rows_that_it_does_not_see(tmp_path: Path) -> None:
    data = PreparedDataset.open(make_table(tmp_path / "data"))
    case = Case(tmp_path / "data", recipe("tabular-classification"))
    (folder,) = members(case, tmp_path / "members", count=1)
    seen, held = data.inputs("fold:0/5")["numeric"], data.inputs("held:0/5")["numeric"]
    everything = data.inputs("train+validation")["numeric"]
    assert len(seen) + len(held) == len(everything) == 600
    assert data.count("fold:0/5") == len(seen)
    assert data.count("held:0/5") == len(held) == 120
    assert not {row.tobytes() for row in seen} & {row.tobytes() for row in held}
    predictions = np.load(folder / "validation.npy")
    assert len(predictions) == len(held)
    found = metrics.evaluate("tabular-classification", np.asarray(data.target("held:0/5")), predictions)
    assert result.read(folder).score == pytest.approx(found["accuracy"])
    assert not result.read(folder).validation_seen


def test_groups_stay_together_in_folds(tmp_path: Path) -> None:
    path = make_table(tmp_path / "data")
    groups = np.arange(600) // 6
    np.save(path / "groups.npy", groups)
    data = PreparedDataset.open(path)
    place = {row.tobytes(): n for n, row in enumerate(np.asarray(data.inputs("train+validation")["numeric"]))}
    of = [
        {int(groups[place[row.tobytes()]]) for row in np.asarray(data.inputs(f"held:{k}/4")["numeric"])} for k in range(4)
    ]
    assert sum(map(len, of)) == len(set().union(*of)) == 100


@pytest.mark.parametrize("part", ["fold:5/5", "held:7/3", "fold:1", "folds"])
def test_a_part_that_is_none_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        PreparedDataset.open(make_table(tmp_path / "data")).inputs(part)
