"""What a job's controller calls beside the search: data, workers, compression, delivery, report.

One value, so that a test can put another world in its place. `product()` is the real one; each part is imported when it is
first called, so that a controller begins to speak at once.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from automl.execution import children
from automl.execution.executor import Executor
from automl.search.budget import Clock, SystemClock, parameters
from automl.spec import FormatRequest, Found, JobSpec, Profile, Recipe
from automl.spec.model import Json

if TYPE_CHECKING:
    from automl.catalog.devices import Device
    from automl.search.foresight import Foreseeing

SCORING_SHARE = 0.6
"""Of the time that a screening may take, for the scores; the rest is for its process to begin."""


class Workers(Executor, Protocol):
    """An executor that also runs single functions in children (`automl.execution.children.run_in_child`)."""

    def run_in_child(
        self, target: str, request: dict[str, Any], *, timeout_s: float, memory_bytes: int | None = None,
        env: Mapping[str, str] | None = None, preload: str | None = None,
    ) -> dict[str, Any]: ...


@dataclasses.dataclass
class Engine:
    """What the story calls, so that tests can put something else in its place."""

    prepare: Callable[[JobSpec, str, Json, Json, Path], Any]
    """(spec, task id, data set, test data set or None, folder) → `PreparedDataset`."""
    executor: Callable[[int, Path], Workers]
    """(slots, log file) → executor."""
    predictions: Callable[[Path], Any]
    """A candidate's folder → its predictions on the rows that it was validated on, [n, outputs]."""
    blend: Callable[..., float]
    """(folders of members, prepared folder, recipe, metric=…, out=…, run_in_child=…, timeout_s=…) → score; writes the
    ensemble's candidate to `out`."""
    compress: Callable[..., Path]
    """(candidate, prepared, spec=…, metric=…, out=…, run_in_child=…, deadline=…, emit=…, done=events of an earlier run,
    honest=…, shrunk=(recipe, weights) → recipe or None, speed=recipe → `Speed`, threads=…, seed=…) → candidate."""
    compress_estimate_s: Callable[..., float]
    """(formats, techniques that are forced) → seconds."""
    deliver: Callable[..., list[Any]]
    deliver_estimate_s: Callable[..., float]
    """(formats, recipe, profile, parameters=…, rows=…, slots=…) → seconds on a busy machine; without recipe: of a plain
    network."""
    score: Callable[[Sequence[Recipe], Path, float], dict[str, Any]]
    """(recipes, prepared folder, seconds) → the answer of `automl.nas.zero_cost.score_in_child`; called in a thread of its
    own."""
    found: Callable[[Path], list[Found]]
    """What the search of a supernet left in its folder."""
    foresight: Callable[[Device, Profile, Sequence[FormatRequest], Path], Foreseeing | None]
    """(device, data's profile, formats, folder for caches) → what foresees latency; None where no .tflite file is asked
    for."""
    convertible: Callable[..., dict[str, dict[str, str]]]
    """(space, prepared, formats, run_in_child=…, deadline=…) → for each family, and each format of which it is known, ""
    or why it can't be given in it."""
    keep: Callable[..., None]
    """(candidate folder, prepared, file, metric=…, tolerance=…, supernet=folder or None): writes what another artifact can
    be made of later."""
    held_out: Callable[[Path], dict[str, float]]
    render: Callable[..., str]
    clock: Clock


def product() -> Engine:
    """The product's own parts; each is imported when it is first called."""

    def prepare(spec: JobSpec, task: str, dataset: Json, test_dataset: Json, folder: Path) -> Any:
        from automl.data.prepare import prepare
        from automl.data.source import Source

        test = Source.from_dict(test_dataset) if test_dataset is not None else None
        return prepare(spec, task, Source.from_dict(dataset), test, folder)

    def executor(slots: int, log_file: Path) -> Workers:
        from automl.execution.local import LocalExecutor

        return LocalExecutor(slots, log=log_file)

    def predictions(folder: Path) -> Any:
        import numpy as np

        from automl.training.candidate import PREDICTIONS_FILE

        return np.load(folder / PREDICTIONS_FILE, allow_pickle=False)

    def blend(
        members: list[Path], prepared: Path, recipe: Recipe, *, metric: str, out: Path, run_in_child: Any, timeout_s: float
    ) -> float:
        from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES, warm

        answer = run_in_child(
            target="automl.training.ensemble:blend", memory_bytes=CHILD_MEMORY_BYTES, preload=warm(), env=CHILD_ENV,
            timeout_s=timeout_s,
            request={
                "members": [str(m) for m in members], "prepared": str(prepared), "metric": metric, "out": str(out),
                "recipe": recipe.to_dict(),
            },
        )
        return float(answer["score"])

    def compress(
        candidate: Path, prepared: Any, *, spec: JobSpec, metric: str, shrunk: Any, speed: Any, **more: Any
    ) -> Path:
        from automl.compression import ladder
        from automl.compression.distillation import Student
        from automl.search.account import recipe_of

        wish = ladder.Wish(metric, spec.tolerance, spec.constraints, spec.formats, spec.search)
        single = recipe_of(candidate).single[0].changed(fold=None)

        def student(limit: int | None) -> Student | None:
            recipe = single if limit is None else shrunk(single, limit)
            if recipe is None:
                return None
            size = parameters(recipe, prepared.meta.profile)
            if limit is not None and (size is None or size > limit):
                return None
            known = speed(recipe)
            return Student(recipe, known.setup_s, known.epoch_s, size)

        return Path(ladder.compress(candidate, prepared, wish=wish, students=student, **more))

    def compress_estimate_s(formats: Any, forced: Sequence[str] = ()) -> float:
        from automl.compression import ladder

        return ladder.estimate_s(formats, forced)

    def deliver(*args: Any, **more: Any) -> list[Any]:
        from automl.export import deliver as delivery

        return list(delivery.deliver(*args, **more))

    def deliver_estimate_s(formats: Any, recipe: Recipe | None, profile: Profile | None, **more: Any) -> float:
        from automl.export import deliver as delivery

        factor = 1.0 if recipe is None or profile is None else delivery.graphs(recipe, profile)
        if profile is not None:
            more["modality"] = profile.modality
        return delivery.estimate_s(formats, graphs=factor, **more)

    def score(recipes: Sequence[Recipe], prepared: Path, timeout_s: float) -> dict[str, Any]:
        from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES

        # Not from the executor's fork server: that is driven by the thread which polls.
        return children.run_in_child(
            target="automl.nas.zero_cost:score_in_child", memory_bytes=CHILD_MEMORY_BYTES, env=CHILD_ENV,
            timeout_s=timeout_s,
            request={
                "recipes": [recipe.to_dict() for recipe in recipes], "prepared": str(prepared),
                "seconds": SCORING_SHARE * timeout_s,
            },
        )

    def found(folder: Path) -> list[Found]:
        from automl.nas import process

        return process.read(folder)

    def foresight(
        device: Device, profile: Profile, formats: Sequence[FormatRequest], cache: Path
    ) -> Foreseeing | None:
        from automl.search import foresight as foreseeing

        return foreseeing.of_device(device, profile, formats, cache)

    def convertible(space: Any, prepared: Any, formats: Any, **more: Any) -> dict[str, dict[str, str]]:
        from automl.export import convertible as conversions

        return conversions.of_space(space, prepared, formats, **more)

    def keep(
        candidate: Path, prepared: Any, out: Path, *, metric: str, tolerance: float, supernet: Path | None = None
    ) -> None:
        from automl.export import kit

        kit.pack(candidate, prepared, out, metric=metric, tolerance=tolerance, supernet=supernet)

    def held_out(scratch: Path) -> dict[str, float]:
        from automl.export import deliver as delivery

        return delivery.held_out_metrics(scratch)

    def render(*args: Any, **more: Any) -> str:
        from automl.report import page

        return page.render(*args, **more)

    return Engine(
        prepare=prepare, executor=executor, predictions=predictions, blend=blend, compress=compress,
        compress_estimate_s=compress_estimate_s, deliver=deliver, deliver_estimate_s=deliver_estimate_s,
        score=score, found=found, foresight=foresight, convertible=convertible,
        keep=keep, held_out=held_out, render=render, clock=SystemClock(),
    )


def one_at_a_time(run_in_child: Callable[..., Any]) -> Callable[..., Any]:
    """The executor's `run_in_child` for several threads: the fork server serves one of them, and whoever finds it busy gets
    a bare interpreter (slower to start, but at the same time)."""
    busy = threading.Lock()

    def run(target: str, request: dict[str, Any], **more: Any) -> Any:
        if busy.acquire(blocking=False):
            try:
                return run_in_child(target, request, **more)
            finally:
                busy.release()
        return children.run_in_child(target, request, **more)

    return run
