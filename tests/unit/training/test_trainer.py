"""What a training promises: it learns, repeats itself, goes on where it was killed, stops when told, and gives account."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from automl.catalog import Component, TrainPlan, compose
from automl.spec import Choice, Fidelity, InvalidInput, Measurement, Outcome
from automl.training import checkpoint, prediction, result, trainer

Log = list[tuple[int, float | None, dict[str, float]]]


def run(case: Any, workdir: Path, epochs: int = 4, **more: Any) -> result.TrainResult:
    more = {"on_epoch": lambda measurement: True, "fidelity": Fidelity(epochs=epochs), **more}
    recipe = more.pop("recipe", case.recipe)
    return trainer.train(recipe, case.data, metric=case.metric, workdir=workdir, **more)


def log(measurements: tuple[Measurement, ...] | list[Measurement]) -> Log:
    """What is repeatable in measurements: all but times."""
    return [(m.epoch, m.train_loss, m.validation) for m in measurements]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets plans name "planted_plan:…"; gives the list of what those components saw."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "parts"))
    import planted_plan

    planted_plan.CALLS.clear()
    return planted_plan.CALLS


@pytest.fixture
def change_plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes fields of every plan that is made from here on."""
    made = compose.plan_of

    def change(**fields: Any) -> None:
        def plan_of(recipe: Any, profile: Any) -> TrainPlan:
            return made(recipe, profile).replace(**fields)

        monkeypatch.setattr(compose, "plan_of", plan_of)

    return change


@pytest.fixture
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after each epoch, however short."""
    monkeypatch.setattr(trainer, "CHECKPOINT_S", 0.0)


class Killed(BaseException):
    """Ends a training from within `on_epoch` like a signal would: nothing is tidied up."""


def kill_at(epoch: int, seen: list[Measurement]) -> Callable[[Measurement], bool]:
    def on_epoch(measurement: Measurement) -> bool:
        seen.append(measurement)
        if measurement.epoch == epoch:
            raise Killed
        return True

    return on_epoch


class TestLearning:
    @pytest.mark.parametrize(
        ("name", "epochs", "at_least"), [("classification", 6, 0.85), ("regression", 6, 0.85), ("pictures", 3, 0.9)]
    )
    def test_it_learns_and_leaves_a_whole_candidate(
        self, name: str, epochs: int, at_least: float, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        case, work = request.getfixturevalue(name), tmp_path / "work"
        outcome = run(case, work, epochs)
        assert outcome.outcome is Outcome.COMPLETED
        assert outcome.usable
        assert outcome.score >= at_least
        assert [m.epoch for m in outcome.measurements] == list(range(1, epochs + 1))
        assert outcome.score == max(m.score for m in outcome.measurements)
        assert json.loads((work / "recipe.json").read_text()) == case.recipe.to_dict()
        assert result.read(work).changed(wall_s=0, overheads_s={}) == outcome.changed(wall_s=0, overheads_s={})

        from automl.data.encoder import TableEncoder

        inputs = case.data.inputs("validation")
        preprocess = json.loads((work / "preprocess.json").read_text())
        if preprocess["modality"] == "table":
            inputs = TableEncoder.from_dict(preprocess).transform(inputs)
        found = prediction.predict(work, inputs, batch_size=64)
        np.testing.assert_allclose(found, np.load(work / "validation.npy"), rtol=1e-4, atol=1e-5)
        assert found.shape == (len(case.data.target("validation")), max(1, len(case.data.meta.classes)))

    def test_a_training_repeats_itself(self, classification: Any, tmp_path: Path) -> None:
        first, second = (run(classification, tmp_path / name) for name in ("a", "b"))
        assert log(first.measurements) == log(second.measurements)
        assert (tmp_path / "a/validation.npy").read_bytes() == (tmp_path / "b/validation.npy").read_bytes()

    def test_another_seed_is_another_training(self, classification: Any, tmp_path: Path) -> None:
        first = run(classification, tmp_path / "a", 1)
        second = run(classification, tmp_path / "b", 1, recipe=classification.recipe.changed(seed=8))
        assert log(first.measurements) != log(second.measurements)

    def test_time_in_steps_is_part_of_the_whole(self, classification: Any, tmp_path: Path) -> None:
        outcome = run(classification, tmp_path / "work")
        assert 0 < outcome.step_s < outcome.wall_s
        assert outcome.step_s + sum(outcome.overheads_s.values()) <= outcome.wall_s
        times = [(m.elapsed_s, m.step_s) for m in outcome.measurements]
        assert times == sorted(times)

    def test_batches_made_one_by_one_train_as_those_gathered_from_the_whole(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held = run(classification, tmp_path / "held", 2)
        monkeypatch.setattr(trainer, "HELD_BYTES", 0)
        streamed = run(classification, tmp_path / "streamed", 2)
        # Rows of a batch are in another order, so sums round differently.
        for a, b in zip(held.measurements, streamed.measurements, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, rel=1e-4)


class TestGoingOn:
    @pytest.mark.usefixtures("every_epoch")
    @pytest.mark.parametrize("name", ["classification", "pictures"])
    def test_a_killed_training_goes_on_as_if_nothing_had_been(
        self, name: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        case = request.getfixturevalue(name)
        whole = run(case, tmp_path / "whole")
        seen: list[Measurement] = []
        with pytest.raises(Killed):
            run(case, tmp_path / "killed", on_epoch=kill_at(2, seen))
        rest = run(case, tmp_path / "killed", on_epoch=kill_at(99, seen))
        assert rest.resumed_epoch == 2
        assert [m.epoch for m in seen] == [1, 2, 3, 4]
        assert log(seen) == log(whole.measurements)
        assert log(rest.measurements) == log(whole.measurements)
        assert (rest.score, rest.best_epoch) == (whole.score, whole.best_epoch)

    @pytest.mark.usefixtures("every_epoch")
    def test_a_torn_checkpoint_costs_one_epoch(self, classification: Any, tmp_path: Path) -> None:
        seen: list[Measurement] = []
        with pytest.raises(Killed):
            run(classification, tmp_path / "work", on_epoch=kill_at(3, seen))
        newest = tmp_path / "work" / checkpoint.CURRENT
        newest.write_bytes(newest.read_bytes()[:-200])
        rest = run(classification, tmp_path / "work")
        assert rest.resumed_epoch == 2
        assert log(rest.measurements) == log(run(classification, tmp_path / "whole").measurements)

    @pytest.mark.usefixtures("every_epoch")
    def test_another_recipes_checkpoint_counts_as_absent(self, classification: Any, tmp_path: Path) -> None:
        run(classification, tmp_path / "work", 2)
        other = run(classification, tmp_path / "work", 2, recipe=classification.recipe.changed(seed=8))
        assert other.resumed_epoch == 0

    def test_without_resume_it_begins_anew(self, classification: Any, tmp_path: Path) -> None:
        run(classification, tmp_path / "work", 2)
        assert run(classification, tmp_path / "work", 2, resume=False).resumed_epoch == 0

    def test_a_promotion_goes_on_in_the_same_folder(self, classification: Any, tmp_path: Path) -> None:
        first = run(classification, tmp_path / "work", 2)
        seen: list[Measurement] = []
        second = run(classification, tmp_path / "work", 4, on_epoch=kill_at(99, seen))
        assert (first.epochs_done, second.resumed_epoch, second.epochs_done) == (2, 2, 4)
        assert [m.epoch for m in seen] == [3, 4]
        assert log(second.measurements) == log(run(classification, tmp_path / "whole").measurements)

    def test_a_promotion_may_go_on_in_a_folder_of_its_own(self, classification: Any, tmp_path: Path) -> None:
        run(classification, tmp_path / "low", 2)
        high = run(classification, tmp_path / "high", 4, continue_from=tmp_path / "low")
        assert log(high.measurements) == log(run(classification, tmp_path / "whole").measurements)

    def test_a_promotion_to_more_data_forgets_the_score_on_less(self, classification: Any, tmp_path: Path) -> None:
        low = run(classification, tmp_path / "work", fidelity=Fidelity(epochs=1, data_fraction=0.25))
        high = run(classification, tmp_path / "work", fidelity=Fidelity(epochs=2, data_fraction=1.0))
        assert (low.epochs_done, high.resumed_epoch) == (1, 1)
        assert high.best_epoch == 2

    def test_nothing_left_to_do_leaves_the_candidate_of_before(self, classification: Any, tmp_path: Path) -> None:
        first = run(classification, tmp_path / "work", 3)
        again = run(classification, tmp_path / "work", 3)
        assert (again.score, again.best_epoch, again.epochs_done) == (first.score, first.best_epoch, 3)

    def test_a_final_fit_begins_from_the_candidate_and_sees_the_validation_rows(
        self, classification: Any, tmp_path: Path
    ) -> None:
        search = run(classification, tmp_path / "search", 5)
        final = run(classification, tmp_path / "final", 2, part="train+validation", continue_from=tmp_path / "search")
        assert final.validation_seen
        assert (final.resumed_epoch, final.epochs_done, final.best_epoch) == (0, 2, 2)
        # From the search's weights at a lower rate, not from scratch.
        assert final.measurements[0].train_loss < search.measurements[1].train_loss
        assert final.measurements[0].learning_rate == pytest.approx(search.measurements[0].learning_rate * trainer.WARM_RATE)
        assert (tmp_path / "final/preprocess.json").read_text() == (tmp_path / "search/preprocess.json").read_text()

    def test_a_folder_to_continue_from_must_fit(self, classification: Any, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="no checkpoint"):
            run(classification, tmp_path / "work", continue_from=tmp_path)
        run(classification, tmp_path / "other", 1, recipe=classification.recipe.changed(seed=8))
        with pytest.raises(InvalidInput, match="another recipe"):
            run(classification, tmp_path / "work", continue_from=tmp_path / "other")


class TestPacing:
    """Under a schedule, and with the time over from the beginning: a second epoch brings it to its end."""

    def paced(
        self, case: Any, folder: Path, change_plan: Callable[..., None], plan: dict[str, Any] | None = None, **more: Any
    ) -> result.TrainResult:
        cosine = Component("automl.techniques.schedule.decays:make", {"name": "cosine", "final": 0.0})
        change_plan(schedule=cosine, epochs=20, **(plan or {}))
        more = {"pace": time.monotonic() - 1.0, "recipe": case.recipe.changed(epochs=20), **more}
        return run(case, folder, 20, **more)

    def test_a_schedule_is_carried_to_its_end_in_the_epochs_that_there_is_room_for(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        outcome = self.paced(classification, tmp_path / "work", change_plan)
        assert (outcome.outcome, outcome.epochs_done, outcome.schedule_epochs) == (Outcome.COMPLETED, 2, 2)
        first, last = (m.learning_rate for m in outcome.measurements)
        peak = compose.plan_of(classification.recipe, classification.data.meta.profile).learning_rate
        # The second epoch is all that is left: 19 of 20 parts of half a wave.
        assert first == pytest.approx(peak * (1 + np.cos(np.pi / 20)) / 2, rel=0.01)
        assert last < 0.1 * peak  # Within a call of several steps the schedule runs at its own pace.
        # What was trained is a recipe of two epochs.
        assert json.loads((tmp_path / "work/recipe.json").read_text())["epochs"] == 2
        assert outcome.recipe == classification.recipe.changed(epochs=2).identity
        assert outcome.fidelity.epochs == 2

    def test_with_time_enough_nothing_changes(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        ample = self.paced(classification, tmp_path / "ample", change_plan, pace=time.monotonic() + 3600.0)
        plain = self.paced(classification, tmp_path / "plain", change_plan, pace=None)
        assert log(ample.measurements) == log(plain.measurements)
        assert (ample.schedule_epochs, plain.schedule_epochs) == (20, None)

    def test_a_training_that_was_killed_goes_on_where_its_schedule_stood(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None], every_epoch: None
    ) -> None:
        whole = self.paced(classification, tmp_path / "whole", change_plan)
        with pytest.raises(Killed):
            self.paced(classification, tmp_path / "work", change_plan, on_epoch=kill_at(1, []))
        # It doesn't know the epochs of before: the third is its second and last.
        again = self.paced(classification, tmp_path / "work", change_plan)
        assert (again.resumed_epoch, again.epochs_done) == (1, 3)
        assert again.measurements[0].learning_rate == whole.measurements[0].learning_rate
        assert again.measurements[1].learning_rate < again.measurements[0].learning_rate
        assert again.measurements[2].learning_rate < 0.1 * again.measurements[0].learning_rate
        # Of one that had ended, nothing is left.
        ended = self.paced(classification, tmp_path / "work", change_plan)
        assert (ended.resumed_epoch, ended.epochs_done, ended.schedule_epochs) == (3, 3, 3)
        assert (ended.recipe, ended.score) == (again.recipe, again.score)

    def test_one_that_stopped_by_itself_was_a_part_of_the_schedule_that_it_was_given(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        still = {"patience": 1, "learning_rate": 0.0}
        outcome = self.paced(classification, tmp_path / "work", change_plan, still, pace=time.monotonic() + 3600.0)
        assert (outcome.epochs_done, outcome.schedule_epochs) == (2, 20)

    def test_a_final_fit_is_a_continuation_of_the_recipe_that_was_carried_out(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        self.paced(classification, tmp_path / "search", change_plan)
        final = self.paced(
            classification, tmp_path / "final", change_plan, part="train+validation", continue_from=tmp_path / "search",
            recipe=classification.recipe.changed(epochs=2), fidelity=Fidelity(epochs=3),
        )
        assert (final.epochs_done, final.schedule_epochs, final.validation_seen) == (2, None, True)

    @pytest.mark.parametrize("of_length", [
        {"schedule": None}, {"schedule_by_score": True}, {"averaging": Component("planted_plan:nothing")},
        {"tags": frozenset({"counts-steps"})},
    ])
    def test_what_turns_on_its_length_isnt_paceable(self, of_length: dict[str, Any]) -> None:
        plan = TrainPlan(schedule=Component("automl.techniques.schedule.decays:make", {"name": "cosine", "final": 0.0}))
        assert plan.paceable
        assert not plan.replace(**of_length).paceable


class TestStopping:
    def test_the_controllers_no_ends_it_at_once_with_the_best(self, classification: Any, tmp_path: Path) -> None:
        outcome = run(classification, tmp_path / "work", 6, on_epoch=lambda m: m.epoch < 2)
        assert outcome.outcome is Outcome.PRUNED
        assert outcome.epochs_done == 2
        assert result.read(tmp_path / "work").score == max(m.score for m in outcome.measurements)

    def test_a_deadline_that_has_passed_leaves_nothing(self, classification: Any, tmp_path: Path) -> None:
        outcome = run(classification, tmp_path / "work", deadline=time.monotonic() - 1)
        assert outcome.outcome is Outcome.PRUNED
        assert not outcome.usable
        assert not (tmp_path / "work/result.json").exists()

    def test_a_deadline_within_an_epoch_keeps_the_best_so_far(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trainer, "CHUNK_S", 1e-9)  # One step a call, so that an epoch has many points to stop at.
        seen: list[Measurement] = []
        outcome = run(
            classification, tmp_path / "work", 5, on_epoch=lambda m: seen.append(m) or True,
            should_stop=lambda: len(seen) == 2,
        )
        assert outcome.outcome is Outcome.PRUNED
        assert outcome.message == "stopped in epoch 3"
        assert (outcome.epochs_done, outcome.best_epoch) == (2, max(seen, key=lambda m: m.score).epoch)

    def test_a_stop_within_the_first_epoch_keeps_the_weights_of_the_moment(
        self, classification: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(trainer, "CHUNK_S", 1e-9)
        asked = iter(range(100))
        outcome = run(classification, tmp_path / "work", 5, should_stop=lambda: next(asked) == 5)
        assert outcome.usable
        assert (outcome.epochs_done, outcome.best_epoch) == (0, 1)

    def test_patience(self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]) -> None:
        change_plan(patience=1, learning_rate=0.0)
        outcome = run(classification, tmp_path / "work", 6)
        assert outcome.outcome is Outcome.COMPLETED
        assert (outcome.best_epoch, outcome.epochs_done) == (1, 2)

    def test_a_callback_may_stop_it(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(callbacks=(Component("planted_plan:stop_after", {"last": 2}),))
        assert run(classification, tmp_path / "work", 6).epochs_done == 2

    def test_a_loss_that_is_not_finite_ends_it_without_a_candidate(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(loss=Component("planted_plan:nan_loss"))
        outcome = run(classification, tmp_path / "work")
        assert outcome.outcome is Outcome.NAN
        assert outcome.message == "the loss became NaN or infinite in epoch 1"
        assert not outcome.usable
        assert not (tmp_path / "work/result.json").exists()

    def test_a_loss_that_breaks_later_never_counts_either(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(activity=(Component("planted_plan:nan_after", {"limit": 1.5}),))
        outcome = run(classification, tmp_path / "work", 40)
        assert outcome.outcome is Outcome.NAN
        assert len(outcome.measurements) >= 1
        assert (outcome.score, outcome.best_epoch) == (None, None)


class TestPlan:
    """Each hook of a plan is called as `automl.catalog.plan` says."""

    def test_data_hooks(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(
            resampling=Component("planted_plan:double_rows"), class_weights=Component("planted_plan:inverse_frequency"),
            batch_steps=(Component("planted_plan:shift_numeric"),),
            target_steps=(Component("planted_plan:soften", {"alpha": 0.2}),),
        )
        outcome = run(classification, tmp_path / "work", 2)
        assert outcome.outcome is Outcome.COMPLETED
        assert planted[0] == "resampled"
        assert planted[1:3] == ["target 2", "batch ['categorical', 'numeric'] 2 0.90"]

    def test_target_steps_alone_are_drawn_anew_each_epoch(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(target_steps=(Component("planted_plan:soften", {"alpha": 0.2}),))
        run(classification, tmp_path / "work", 3)
        assert planted.count("target 2") >= 3

    def test_a_schedule_that_is_a_callback(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(schedule=Component("planted_plan:halving"))
        first = run(classification, tmp_path / "work", 2)
        # 450 rows in batches of 32 are 14 and a rest, which is left out where there are ten or more.
        assert planted == [f"schedule 0.01 {14 * 6} 14"]
        rest = run(classification, tmp_path / "work", 4)
        rates = [m.learning_rate for m in (*first.measurements, *rest.measurements[2:])]
        assert rates == pytest.approx([0.01, 0.005, 0.0025, 0.00125])

    def test_a_schedule_spans_the_recipes_epochs_whatever_the_fidelity(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(schedule=Component("planted_plan:linear"))
        outcome = run(classification, tmp_path / "work", 3)
        assert outcome.measurements[-1].learning_rate == pytest.approx(0.005, rel=1e-3)

    def test_accumulated_gradients_slow_the_schedule_down(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None]
    ) -> None:
        change_plan(
            schedule=Component("planted_plan:linear"), optimizer_options=MappingProxyType({"gradient_accumulation_steps": 2})
        )
        outcome = run(classification, tmp_path / "work", 3)
        assert outcome.measurements[-1].learning_rate == pytest.approx(0.005, rel=1e-3)

    def test_averaged_weights_are_kept_and_training_goes_on_with_its_own(
        self, classification: Any, tmp_path: Path, planted: list[str], change_plan: Callable[..., None], every_epoch: None
    ) -> None:
        plain = run(classification, tmp_path / "plain", 4)
        change_plan(averaging=Component("planted_plan:mean_of_two"))
        averaged = run(classification, tmp_path / "averaged", 4)
        assert planted[0] == "averaged 1 32"
        assert [m.train_loss for m in averaged.measurements] == [m.train_loss for m in plain.measurements]
        assert averaged.measurements[0].validation == plain.measurements[0].validation
        assert averaged.measurements[3].validation != plain.measurements[3].validation
        with pytest.raises(Killed):
            run(classification, tmp_path / "killed", 4, on_epoch=kill_at(3, []))
        rest = run(classification, tmp_path / "killed", 4)
        assert log(rest.measurements) == log(averaged.measurements)

    def test_moving_averages_of_the_optimizer_are_what_is_evaluated(
        self, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        plain = run(classification, tmp_path / "plain", 2)
        change_plan(optimizer_options=MappingProxyType({"use_ema": True, "ema_momentum": 0.9}))
        outcome = run(classification, tmp_path / "ema", 2)
        assert outcome.averaged
        assert [m.train_loss for m in outcome.measurements] == [m.train_loss for m in plain.measurements]
        assert outcome.measurements[0].validation != plain.measurements[0].validation

    @pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
    def test_a_candidate_is_float32_whatever_it_was_trained_in(
        self, precision: str, classification: Any, tmp_path: Path, change_plan: Callable[..., None]
    ) -> None:
        import keras

        change_plan(precision=precision)
        outcome = run(classification, tmp_path / "work", 3)
        assert outcome.score > 0.7
        assert keras.config.dtype_policy().name == "float32"
        model = prediction.load(tmp_path / "work/model.keras")
        assert {layer.compute_dtype for layer in model.layers} == {"float32"}


class TestFidelity:
    def test_half_the_batch(self, classification: Any, tmp_path: Path) -> None:
        outcome = run(classification, tmp_path / "work", 1, batch_scale=0.5)
        assert outcome.batch_size == 16

    @pytest.mark.parametrize(
        ("batch", "scale", "accumulated", "rows"),
        [(32, 1.0, 1, 32), (32, 0.5, 1, 16), (32, 0.5, 4, 64), (4096, 1.0, 1, 450), (4096, 0.5, 1, 450)],
    )
    def test_the_rate_follows_the_batch_that_is_used(
        self, batch: int, scale: float, accumulated: int, rows: int, classification: Any, tmp_path: Path, change_plan: Any
    ) -> None:
        """Rows of an update: of the halved batch, of no more rows than there are, of all that are accumulated."""
        scaling = Choice(id="batch-lr-scaling", params={"rule": "linear", "reference_batch": 64})
        recipe = classification.recipe.changed(batch_size=batch, techniques=(*classification.recipe.techniques, scaling))
        if accumulated > 1:
            change_plan(optimizer_options={"gradient_accumulation_steps": accumulated})
        outcome = run(classification, tmp_path / "work", 1, recipe=recipe, batch_scale=scale)
        assert outcome.measurements[0].learning_rate == pytest.approx(0.01 * rows / 64, rel=1e-4)

    def test_a_share_of_the_rows_costs_a_share_of_the_steps(self, classification: Any, tmp_path: Path) -> None:
        run(classification, tmp_path / "work", fidelity=Fidelity(epochs=1, data_fraction=0.5))
        # 225 rows in batches of 32, and the rest filled up.
        assert checkpoint.read(tmp_path / "work").position.steps_per_epoch == 8

    def test_a_smaller_resolution_is_said_to_the_artifact(self, pictures: Any, tmp_path: Path) -> None:
        outcome = run(pictures, tmp_path / "work", fidelity=Fidelity(epochs=3, resolution=0.5))
        assert outcome.score > 0.6
        preprocess = json.loads((tmp_path / "work/preprocess.json").read_text())
        assert (preprocess["height"], preprocess["width"]) == (6, 6)
        assert prediction.load(tmp_path / "work/model.keras").inputs[0].shape == (None, 6, 6, 1)

    @pytest.mark.parametrize(("share", "resumed"), [(0.75, 1), (0.5, 0)])
    def test_weights_go_on_at_another_resolution_where_they_fit(
        self, share: float, resumed: int, pictures: Any, tmp_path: Path
    ) -> None:
        # The family has a stage less at 6 pixels a side than at 9 and 12.
        run(pictures, tmp_path / "work", fidelity=Fidelity(epochs=1, resolution=share))
        assert run(pictures, tmp_path / "work", fidelity=Fidelity(epochs=2)).resumed_epoch == resumed


def test_an_unbuildable_recipe_is_the_users_fault(classification: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown technique"):
        run(classification, tmp_path / "work", recipe=classification.recipe.changed(
            techniques=(*classification.recipe.techniques, Choice(id="no-such-thing"))
        ))
