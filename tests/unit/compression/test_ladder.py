"""Rungs are tried where a measured need calls for them and kept behind the guard; what fails leaves the candidate as it
is."""

from __future__ import annotations

import json
import pathlib
import shutil
import time
from typing import Any

import numpy as np
import pytest

from automl import catalog
from automl.catalog import architectures, techniques
from automl.compression import ladder
from automl.compression.distillation import Student
from automl.export import candidate as candidates
from automl.spec import AutoMLError, Choice, Constraints, FormatRequest, Internal, Recipe, SearchSettings
from automl.spec.event import Compressed, Noted
from tests.unit.export import planted

MEASURE = "automl.export.point:measure"
INT8 = (FormatRequest(format="tflite", precision="int8"),)


def point(value: float, floating: float | None = None, **more: Any) -> dict[str, Any]:
    """What a measurement answers."""
    return {
        "value": value, "float": value if floating is None else floating, "rows": 80, "size_bytes": 20_000,
        "compressed_bytes": 15_000, "latency_ms": 1.0, "parameters": 10_000, "macs": 100_000, "sparsity": 0.0, **more,
    }


class World:
    """Stands for the child processes: rungs by their techniques' ids, measurements in the order in which they come."""

    def __init__(self, *points: dict[str, Any] | AutoMLError, fails: str = "", members: int = 0):
        self.points, self.fails = list(points), fails
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, *, target: str, request: dict[str, Any], **_: Any) -> dict[str, Any]:
        if target == MEASURE:
            answer = self.points.pop(0)
            if isinstance(answer, AutoMLError):
                raise answer
            return answer
        id = next(t.id for t in techniques if t.rung is not None and t.rung.target == target)
        self.requests.append((id, request))
        if id == self.fails:
            raise Internal("the process was ended by SIGSEGV")
        shutil.copytree(request["candidate"], request["out"], dirs_exist_ok=True)
        if "recipe" in request:
            (pathlib.Path(request["out"]) / "recipe.json").write_text(json.dumps(request["recipe"]))
        return {"settings": request["settings"], "notes": []}

    @property
    def tried(self) -> list[str]:
        return [id for id, _ in self.requests]


def climbed(
    model: planted.Planted, out: pathlib.Path, world: Any, metric: str = "accuracy", *, wish: dict[str, Any] | None = None,
    **more: Any,
) -> tuple[pathlib.Path, list[Any]]:
    events: list[Any] = []
    given = {"tolerance": 0.02, "formats": INT8, "constraints": Constraints(), "settings": SearchSettings(), **(wish or {})}
    asked = ladder.Wish(metric=metric, **given)
    best = ladder.compress(
        model.candidate, model.data, wish=asked, out=out, run_in_child=world, emit=events.append,
        **{"deadline": None, **more},
    )
    return best, events


def only(*ids: str, **more: Any) -> dict[str, Any]:
    """A wish in which the ladder has these rungs alone."""
    return {"settings": SearchSettings(allow=ids, **more)}


def attempts(events: list[Any]) -> list[Compressed]:
    return [e for e in events if isinstance(e, Compressed) and e.need != "first"]


@pytest.fixture
def ensemble(table: planted.Planted, tmp_path: pathlib.Path) -> planted.Planted:
    """The planted table's model under the recipe of an ensemble of three."""
    shutil.copytree(table.candidate, tmp_path / "ensemble")
    single = Recipe(task="tabular-classification", architecture=Choice(id="mlp"))
    whole = single.changed(members=tuple(single.changed(seed=n) for n in (1, 2)))
    (tmp_path / "ensemble" / "recipe.json").write_bytes(whole.canonical_json())
    return planted.Planted(table.data, tmp_path / "ensemble")


def students(limit: int | None) -> Student:
    return Student(Recipe(task="tabular-classification", architecture=Choice(id="mlp"), epochs=20), 1.0, 0.1, limit)


def test_the_model_is_measured_first_and_the_measurement_is_an_event(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    best, events = climbed(table, tmp_path, World(point(0.88, 0.90)), wish=only("compress-distillation"))
    (first,) = events
    assert best == table.candidate
    assert (first.technique, first.accepted) == ("quantization-ptq", True)
    assert (first.validation_before, first.validation_after, first.precision) == (0.90, 0.88, "int8")
    assert (first.size_bytes, first.latency_ms, first.recipe is not None) == (20_000, 1.0, True)


@pytest.mark.parametrize(("formats", "precision"), [
    ("tflite:int16x8", "int16x8"), ("tflite:int16x8 tflite", "float32"), ("onnx:int8", "int8"),
    ("mobile:dynamic", "dynamic"), ("saved-model", "float32"),
])
def test_what_is_measured_is_the_narrowest_of_what_is_asked_for(
    formats: str, precision: str, table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    wish = {**only("compress-distillation"), "formats": tuple(FormatRequest.parse(text) for text in formats.split())}
    _, events = climbed(table, tmp_path, World(point(0.9)), wish=wish)
    assert [e.precision for e in events] == [precision]


def test_a_weight_takes_a_byte_in_both_integer_precisions(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    """Else pruning takes four times as few weights away as the limit wants."""
    asked = []
    for precision in ("int8", "int16x8"):
        world = World(point(0.90), point(0.89, size_bytes=11_000, parameters=6_000))
        wish = {**only("structured-pruning"), "constraints": Constraints(max_size_bytes=12_000),
                "formats": (FormatRequest(format="tflite", precision=precision),)}
        climbed(pictures, tmp_path / precision, world, wish=wish)
        asked += [request["settings"]["keep"] for _, request in world.requests]
    assert asked == [pytest.approx((0.95 * 12_000 - 9_000) / 11_000, abs=1e-3)] * 2


def test_pruning_goes_on_from_the_last_attempt_and_is_compared_with_the_original(
    table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    world = World(point(0.90), point(0.895), point(0.891))
    best, events = climbed(table, tmp_path, world, wish=only("magnitude-pruning"))
    assert best == tmp_path / "magnitude-pruning-2"
    assert [r["candidate"] for _, r in world.requests] == [str(table.candidate), str(tmp_path / "magnitude-pruning-1")]
    assert [r["settings"]["sparsity"] for _, r in world.requests] == [0.5, 0.75]
    assert [(e.accepted, e.validation_before, e.validation_after) for e in attempts(events)] == [
        (True, 0.90, 0.895), (True, 0.90, 0.891),
    ]


def test_what_costs_more_than_half_the_tolerance_is_refused(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    best, events = climbed(table, tmp_path, World(point(0.90), point(0.889)), wish=only("magnitude-pruning"))
    assert best == table.candidate
    (event,) = attempts(events)
    assert not event.accepted
    assert "would lose 0.0110" in event.reason
    assert not (tmp_path / event.candidate).exists()


def test_errors_are_guarded_relative_to_their_size(numbers: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(1000.0), point(1009.0), point(1011.0))
    best, events = climbed(numbers, tmp_path, world, metric="rmse", wish=only("magnitude-pruning"))
    assert best == tmp_path / "magnitude-pruning-1"
    assert [e.accepted for e in attempts(events)] == [True, False]


def test_a_failure_leaves_the_candidate_and_gives_the_reason(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(0.90), fails="magnitude-pruning")
    best, events = climbed(table, tmp_path, world, wish=only("magnitude-pruning"))
    assert best == table.candidate
    assert [(e.accepted, e.reason) for e in attempts(events)] == [(False, "the process was ended by SIGSEGV")]


def test_a_model_that_cant_be_converted_is_pruned_all_the_same(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(Internal("the converter crashed"), point(0.9), point(0.0))
    _, events = climbed(table, tmp_path, world, wish=only("magnitude-pruning"))
    assert (events[0].accepted, events[0].reason) == (False, "the converter crashed")
    assert world.tried[:1] == ["magnitude-pruning"]


def test_without_time_nothing_is_tried(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World()
    best, events = climbed(table, tmp_path, world, deadline=time.monotonic() + 5)
    assert best == table.candidate
    assert [type(e) for e in events] == [Noted]


def test_what_nothing_presses_for_leaves_pruning_its_time(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(0.90), point(0.90), point(0.80))
    climbed(table, tmp_path, world, deadline=time.monotonic() + 30)
    assert world.tried[:1] == ["magnitude-pruning"]


def test_what_the_user_forbids_is_not_tried(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    forbidden = tuple(t.id for t in techniques if t.rung is not None)
    wish = {"settings": SearchSettings(forbid=forbidden)}
    assert climbed(table, tmp_path, World(), wish=wish) == (table.candidate, [])


def test_what_the_user_forces_and_sets_is_tried_once(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    settings = SearchSettings(
        allow=("magnitude-pruning",), force=("magnitude-pruning",), parameters={"magnitude-pruning.sparsity": "0.9"}
    )
    world = World(point(0.90), point(0.90), point(0.90))
    climbed(table, tmp_path, world, wish={"settings": settings})
    assert [r["settings"]["sparsity"] for _, r in world.requests] == [0.9]


def test_a_limit_of_size_calls_for_channels_to_go(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(0.90), point(0.89, size_bytes=15_000, parameters=6_000), point(0.89, size_bytes=11_900))
    wish = {**only("structured-pruning"), "constraints": Constraints(max_size_bytes=12_000)}
    best, events = climbed(pictures, tmp_path, world, wish=wish)
    assert best == tmp_path / "structured-pruning-2"
    first, second = (r["settings"] for _, r in world.requests)
    # 20 KB hold 10,000 weights of 1.1 bytes, so 9 KB of the rest; 0.95 · 12 KB leave 2.4 KB for weights.
    assert first["of"] == second["of"] == "parameters"
    assert first["keep"] == pytest.approx((0.95 * 12_000 - 9_000) / 11_000, abs=1e-3)
    assert second["keep"] == pytest.approx((0.95 * 12_000 - (15_000 - 6_600)) / 6_600, abs=1e-3)
    assert [(e.need, e.accepted) for e in attempts(events)] == [("size", True), ("size", True)]


def test_a_limit_of_latency_calls_for_fewer_multiplications(pictures: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(0.90), point(0.895, latency_ms=0.45))
    wish = {**only("structured-pruning"), "constraints": Constraints(max_latency_ms=0.5)}
    climbed(pictures, tmp_path, world, wish=wish)
    (_, request), *more = world.requests
    assert not more
    assert (request["settings"]["of"], request["settings"]["keep"]) == ("macs", pytest.approx(0.475))


def test_what_meets_a_limit_is_taken_beyond_the_guard_when_nothing_else_does(
    pictures: planted.Planted, tmp_path: pathlib.Path
) -> None:
    world = World(point(0.90), point(0.80, size_bytes=9_000), point(0.85, size_bytes=9_500))
    wish = {
        **only("structured-pruning", "compress-distillation"), "constraints": Constraints(max_size_bytes=10_000),
    }
    best, events = climbed(pictures, tmp_path, world, wish=wish, students=students)
    assert world.tried == ["compress-distillation", "structured-pruning"]
    assert [e.accepted for e in attempts(events)] == [False, False]
    assert best == tmp_path / "structured-pruning-1"
    assert any(isinstance(e, Noted) and "costs more than the guard" in e.message for e in events)


def test_an_ensemble_gives_way_to_one_network_that_is_as_good(ensemble: planted.Planted, tmp_path: pathlib.Path) -> None:
    world = World(point(0.99), point(0.93, parameters=4_000), point(0.929))
    best, events = climbed(
        ensemble, tmp_path / "out", world, wish=only("compress-distillation"), students=students, honest=0.93,
    )
    assert best == tmp_path / "out" / "compress-distillation-1"
    # Against what the ensemble scores on rows that it hasn't seen, and not one ten-thousandth less.
    assert [(e.validation_before, e.validation_after, e.accepted) for e in attempts(events)] == [
        (0.93, 0.93, True), (0.93, 0.929, False),
    ]
    assert all(r["candidate"] == str(ensemble.candidate) for _, r in world.requests)


def test_a_student_without_time_for_its_epochs_isnt_begun(ensemble: planted.Planted, tmp_path: pathlib.Path) -> None:
    slow = Student(Recipe(task="tabular-classification", architecture=Choice(id="mlp"), epochs=50), 1.0, 60.0, None)
    world = World(point(0.99))
    _, events = climbed(
        ensemble, tmp_path / "out", world, wish=only("compress-distillation"), students=lambda limit: slow,
    )
    assert world.tried == []
    assert "too little time" in events[-1].message


def test_a_ladder_that_was_interrupted_goes_on_behind_the_attempts_that_ended(
    table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    whole = World(point(0.90), point(0.899), point(0.80))
    best, events = climbed(table, tmp_path, whole, wish=only("magnitude-pruning"))
    assert best == tmp_path / "magnitude-pruning-1"
    for ended in (1, 2):
        past = [e for e in events if isinstance(e, Compressed)][:ended]
        again = World(*([point(0.899), point(0.80)][ended - 1 :]))
        assert climbed(table, tmp_path, again, wish=only("magnitude-pruning"), done=past)[0] == best
        assert len(again.requests) == 3 - ended
    finished = World()
    past = [e for e in events if isinstance(e, Compressed)]
    assert climbed(table, tmp_path, finished, wish=only("magnitude-pruning"), done=past)[0] == best
    assert finished.requests == []


def test_a_candidate_is_measured_as_the_file_that_it_would_become(
    pictures: planted.Planted, tmp_path: pathlib.Path
) -> None:
    from automl.data.prepared import PreparedDataset
    from automl.export import point as points

    prepared = PreparedDataset.open(pictures.data.path)
    outputs = candidates.Candidate(pictures.candidate)
    folder = tmp_path / "candidate"
    shutil.copytree(pictures.candidate, folder)
    from automl.export import verify

    np.save(folder / "validation.npy", verify.model_outputs(outputs, prepared.inputs("validation")))
    request = {
        "candidate": str(folder), "prepared": str(prepared.path), "metric": "accuracy", "seed": 1, "time_s": 5.0,
        "rows": None, "max_size_bytes": None,
    }
    small = points.measure({**request, "precision": "int8"})
    large = points.measure({**request, "precision": "float32", "rows": small["rows"]})
    assert small["rows"] == large["rows"] == 80
    assert large["value"] == large["float"]
    assert abs(small["value"] - small["float"]) < 0.1
    assert small["size_bytes"] < large["size_bytes"]
    assert small["parameters"] == outputs.model.count_params()
    assert small["latency_ms"] > 0


def test_pruning_clustering_and_training_for_integers_go_on_from_each_other(
    table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    """PCQAT, where the user names all three: each begins with what the one before has left."""
    three = ("magnitude-pruning", "weight-clustering", "quantization-qat")
    world = World(point(0.9), point(0.9), point(0.9), point(0.9), point(0.9))
    best, events = climbed(
        table, tmp_path, world,
        wish={"settings": SearchSettings(allow=three, force=three, parameters={"magnitude-pruning.sparsity": "0.5"})},
    )
    assert world.tried == list(three)
    assert [pathlib.Path(asked["candidate"]).name for _, asked in world.requests[1:]] == [
        "magnitude-pruning-1", "weight-clustering-1",
    ]
    assert [e.accepted for e in attempts(events)] == [True, True, True]
    assert best.name == "quantization-qat-1"


@pytest.mark.parametrize(("left_s", "shares"), [(120.0, True), (45.0, False)])
def test_what_the_user_wants_leaves_time_for_what_else_he_wants(
    left_s: float, shares: bool, table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    """Clustering took all that was left, and quantisation-aware training behind it had nothing."""
    two = ("weight-clustering", "quantization-qat")
    world = World(point(0.9), point(0.9), point(0.9))
    wish = {"settings": SearchSettings(allow=two, force=two)}
    climbed(table, tmp_path, world, wish=wish, deadline=time.monotonic() + left_s)
    qat = techniques["quantization-qat"].rung
    assert qat is not None
    usable_s = left_s / ladder.SAFETY - ladder.MEASURE_S / 2
    given_s = {id: asked["time_s"] for id, asked in world.requests}
    # Where there isn't time for both, the first has it.
    assert given_s["weight-clustering"] == pytest.approx(usable_s / 2 if shares else usable_s, abs=0.5)
    assert usable_s / 2 > qat.shortest_s or not shares


def test_what_nobody_asked_for_leaves_what_the_user_wants_its_time(table: planted.Planted, tmp_path: pathlib.Path) -> None:
    """PCQAT on mnist: fewer channels, and more zeros, had the time of quantisation-aware training."""
    wanted = ("weight-clustering", "quantization-qat")
    world = World(*[point(0.9) for _ in range(6)])
    wish = {"settings": SearchSettings(force=wanted)}
    climbed(table, tmp_path, world, wish=wish, deadline=time.monotonic() + 125.0)
    kept = sum(ladder.RECOVER * (techniques[id].rung.shortest_s + ladder.MEASURE_S / 2) for id in wanted)
    usable_s = 125.0 / ladder.SAFETY - ladder.MEASURE_S / 2
    assert {"magnitude-pruning", *wanted} <= set(world.tried)
    assert "structured-pruning" not in world.tried
    for id, asked in world.requests:
        assert id in wanted or asked["time_s"] <= usable_s - kept


@pytest.mark.parametrize(("formats", "tried"), [
    ("tflite:int8", True), ("onnx mobile:int8", True), ("onnx:int8", False), ("microcontroller:int8 tflite", False),
])
@pytest.mark.parametrize("force", [(), ("quantization-qat",)])
def test_training_for_integers_waits_for_a_file_that_holds_it(
    formats: str, tried: bool, force: tuple[str, ...], table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    world = World(point(0.85, 0.90), point(0.89, 0.90))
    wish = {**only("quantization-qat", force=force), "formats": tuple(FormatRequest.parse(f) for f in formats.split())}
    best, events = climbed(table, tmp_path, world, wish=wish)
    notes = [e.message for e in events if isinstance(e, Noted)]
    assert world.tried == ["quantization-qat"] * tried
    assert [note for note in notes if "in tflite:int8 and mobile:int8 alone" in note] == notes
    assert len(notes) == (not tried)
    assert (best == table.candidate) == (not tried)


def test_what_no_file_would_hold_leaves_its_time_to_others_and_unneeded_is_not_spoken_of(
    table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    given = {}
    for formats in ("tflite:int8", "onnx:int8"):
        world = World(point(0.85, 0.90), point(0.85, 0.90), point(0.85, 0.90), point(0.85, 0.90))
        wish = {**only("magnitude-pruning", "quantization-qat"), "formats": (FormatRequest.parse(formats),)}
        climbed(table, tmp_path / formats, world, wish=wish, deadline=time.monotonic() + 80)
        given[formats] = world.requests[0][1]["time_s"]
    qat = techniques["quantization-qat"].rung
    assert qat is not None
    assert given["onnx:int8"] - given["tflite:int8"] == pytest.approx(qat.shortest_s + ladder.MEASURE_S / 2, abs=0.5)
    wish = {**only("quantization-qat"), "formats": (FormatRequest.parse("onnx:int8"),)}
    _, events = climbed(table, tmp_path / "unneeded", World(point(0.90)), wish=wish)
    assert [e for e in events if isinstance(e, Noted)] == []


def test_rungs_name_files_that_there_are() -> None:
    named = {name for technique in techniques if technique.rung is not None for name in technique.rung.carried_by}
    assert named
    for wanted in map(FormatRequest.parse, named):
        assert wanted.precision in catalog.formats[wanted.format].precisions


@pytest.mark.parametrize(("changes", "why"), [
    ({"architecture": Choice(id="boosted-trees")}, architectures["boosted-trees"].not_for_qat),
    ({"techniques": (Choice(id="mixed-bit"),)}, techniques["mixed-bit"].not_for_qat),
    ({"members": (Recipe(task="tabular-classification", architecture=Choice(id="mlp"), seed=1),)}, "an ensemble"),
])
def test_what_is_declared_not_for_it_isnt_trained_under_quantisation(
    table: planted.Planted, tmp_path: pathlib.Path, changes: dict[str, Any], why: str
) -> None:
    """It is left out with the reason, before a process is started, and the ladder goes on."""
    shutil.copytree(table.candidate, tmp_path / "declared")
    recipe = Recipe(task="tabular-classification", architecture=Choice(id="mlp")).changed(**changes)
    (tmp_path / "declared" / "recipe.json").write_bytes(recipe.canonical_json())
    both = ("quantization-qat", "weight-clustering")
    world = World(point(0.8, 0.9), point(0.8, 0.9))
    _, events = climbed(
        planted.Planted(table.data, tmp_path / "declared"), tmp_path / "out", world,
        wish={"settings": SearchSettings(allow=both, force=both)},
    )
    assert "quantization-qat" not in world.tried
    assert "weight-clustering" in world.tried
    (note,) = [e.message for e in events if isinstance(e, Noted) and "quantization-qat" in e.message]
    assert note.startswith("quantization-qat is left out: not for QAT: ")
    assert why in note


def test_what_the_user_forces_is_reserved_for() -> None:
    formats = [FormatRequest.parse("tflite:int8")]
    usual = ladder.estimate_s(formats)
    assert ladder.estimate_s(formats, ("magnitude-pruning", "adam")) == usual  # which is tried in any case
    forced = {t.id: t.rung.shortest_s for t in techniques if t.rung is not None}
    more = ladder.estimate_s(formats, ("weight-clustering", "rl-sac")) - usual
    assert more == pytest.approx(1.5 * 1.2 * (forced["weight-clustering"] + forced["rl-sac"] + ladder.MEASURE_S))
    assert ladder.estimate_s(formats, ("quantization-qat",)) > usual
    assert ladder.estimate_s([FormatRequest.parse("onnx:int8")], ("quantization-qat",)) == usual  # no file would hold it


class Clock:
    """Stands for `time` in the ladder."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Slow(World):
    """Each measurement takes its seconds, each rung what it was given."""

    def __init__(self, clock: Clock, measure_s: float, *points: Any):
        super().__init__(*points)
        self.clock, self.measure_s = clock, measure_s

    def __call__(self, *, target: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.clock.now += self.measure_s if target == MEASURE else request["time_s"]
        return super().__call__(target=target, request=request, **more)


@pytest.mark.parametrize(("measure_s", "wish", "left_s"), [
    (4.0, {}, 0.0), (16.0, {}, 20.0),  # twice as slow as planned: 20 s of delivery take 20 s more
    (16.0, {"formats": (*INT8, FormatRequest(format="keras-file")), "constraints": Constraints(max_size_bytes=100)}, 10.0),
])
def test_on_a_busy_machine_rungs_leave_the_delivery_more(
    measure_s: float, wish: dict[str, Any], left_s: float, table: planted.Planted, tmp_path: pathlib.Path, monkeypatch: Any
) -> None:
    """Where the limits aren't met yet, without a rung there is no file at all: then one file's share is enough."""
    clock = Clock()
    monkeypatch.setattr(ladder, "time", clock)
    world = Slow(clock, measure_s, point(0.90), point(0.90), point(0.90), point(0.90))
    asked = only("magnitude-pruning") | wish
    _, events = climbed(table, tmp_path, world, wish=asked, deadline=clock.now + 90, delivery_s=20.0)
    notes = [e.message for e in events if isinstance(e, Noted) and "busy" in e.message]
    assert len(notes) == (left_s > 0)
    (_, request), *_ = world.requests
    # What is left after the first measurement and the delivery's more, as the ladder shares it out.
    expected = (90 - measure_s - left_s) / ladder.SAFETY - ladder.MEASURE_S / 2
    assert request["time_s"] == pytest.approx(min(75.0, expected))


@pytest.mark.parametrize(("row_s", "tried"), [(0.0001, True), (0.375, False)])
def test_a_rung_whose_steps_cant_be_made_in_time_isnt_begun(
    row_s: float, tried: bool, table: planted.Planted, tmp_path: pathlib.Path
) -> None:
    shutil.copytree(table.candidate, tmp_path / "slow")
    account = json.loads((tmp_path / "slow" / "result.json").read_text(encoding="utf-8"))
    account |= {
        "profile": {"batch_size": 32}, "part": "train", "fidelity": {"epochs": 4, "data_fraction": 0.5}, "epochs_done": 4,
        "step_s": 4 * row_s * table.data.count("train") / 2,
    }
    (tmp_path / "slow" / "result.json").write_text(json.dumps(account), encoding="utf-8")
    world = World(point(0.90), point(0.90), point(0.90))
    _, events = climbed(
        planted.Planted(table.data, tmp_path / "slow"), tmp_path / "out", world, wish=only("magnitude-pruning"),
        deadline=time.monotonic() + 80,
    )
    assert bool(world.tried) == tried
    if not tried:
        # 30 steps of 64 rows, 2.5 × as slow as 12 s for 32 of them, and what stands around them.
        (note,) = [e.message for e in events if isinstance(e, Noted)]
        assert "No time was left for magnitude-pruning: it takes about 2126 s, by what a step of the training took" in note
