"""The compression ladder: rungs that make a candidate smaller, faster or better in integers, chosen by measurement.

First the candidate is measured as the file that it would become (`point`): metric, size and latency of the TFLite file in
the narrowest precision asked for. What is missing there calls for rungs: a limit of size or latency that isn't met, more
loss in int8 than is allowed, an ensemble that one network may replace. Each technique of the stage `compress` declares which
needs it answers (`automl.catalog.rung`); it is tried where one of them is there, in a child process, what it gives is
measured as a file again, and kept only behind the guard:

- of the metric at most `GUARD` of the job's tolerance may be lost, file against file; what no limit asks for may cost what
  its rung declares;
- what is to help in int8 has to;
- where a limit isn't met and nothing that meets it stays within the guard, the best that meets it is taken all the same, and
  a note says so: else nothing could be delivered.

A rung that fails, loses too much or finds no time leaves the candidate as it was. Each attempt is one `Compressed` event,
measurement and folder included, so a ladder that was interrupted is gone on with after the attempts that ended.

A rung's child gets `candidate`, `prepared`, `out` (folders), `metric`, `settings`, `time_s`, `seed`, `threads` and, of a
student, `recipe`; it writes a candidate to `out` and answers with "settings" (what came of them) and "notes" for people.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.catalog import compose, techniques
from automl.catalog.entries import QAT, Technique
from automl.catalog.precisions import BYTES, narrowest
from automl.catalog.rung import Rung
from automl.compression import finetuning, twin_training
from automl.compression.distillation import TECHNIQUE as DISTILLATION
from automl.compression.distillation import Student
from automl.export import candidate as candidates
from automl.export.deliver import CHILD_ENV, CHILD_MEMORY_BYTES, RunInChild, warm
from automl.spec import AutoMLError, Constraints, FormatRequest, SearchSettings
from automl.spec.event import Compressed, Noted
from automl.spec.recipe import ParameterValue
from automl.tasks import metrics

if TYPE_CHECKING:
    from automl.data.prepared import PreparedDataset

FIRST = "quantization-ptq"
"""The measurement that comes first is of this."""
GUARD = 0.5
"""Share of the job's tolerance that compression may use; the rest is left to quantisation."""
MEASURE_S = 8.0
"""Of a measurement beside other work; an idle machine takes half of it, and predictions may take half."""
GRACE = 1.5
"""A rung keeps its time by itself; one that doesn't is ended at so many times it."""
RECOVER = 1.5
"""What is reserved for a rung, in what it takes at least: networks have to recover from what is done to them."""
SAFETY = 1.2
"""A rung is given its share of the time divided by this."""
TWIN_STEPS = 2.5
"""How long a step takes under fake quantisation or a mask in tf_keras, in steps of the recipe's own training."""
MARGIN = 0.95
"""How far below a limit a rung aims, so that the measurement's noise doesn't undo it."""
PRESSING = ("size", "latency", "precision")
"""Needs without whose answer something that was asked for can't be delivered."""
WITHOUT_LIMIT_S = 3600.0
_ROUNDING = 1e-9

Students = Callable[[int | None], Student | None]
"""The largest student with at most so many weights (None: one network of the recipe's own size); None where there is
none."""


def no_students(limit: int | None) -> Student | None:
    """Of jobs whose search can't shrink a recipe."""
    return None


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the user asked for, as far as it concerns the ladder."""

    metric: str
    tolerance: float
    constraints: Constraints
    formats: tuple[FormatRequest, ...]
    settings: SearchSettings


@dataclasses.dataclass(frozen=True)
class Standing:
    """A candidate and what was measured on it."""

    folder: Path
    event: Compressed

    @property
    def value(self) -> float:
        return self.event.validation_after


def compress(
    candidate: Path,
    prepared: PreparedDataset,
    *,
    wish: Wish,
    out: Path,
    run_in_child: RunInChild,
    deadline: float | None,
    emit: Callable[[Any], None],
    done: Sequence[Compressed] = (),
    honest: float | None = None,
    students: Students = no_students,
    threads: int = 1,
    seed: int = 0,
    delivery_s: float = 0.0,
) -> Path:
    """The folder of the candidate to deliver: `candidate` itself, or one written below `out`.

    `deadline` is on the clock of `time.monotonic()`. `done` are the events of an earlier run of this ladder, whose folders
    lie below `out`. `honest` is what the model scores on validation rows that it hasn't seen, in the metric's own sign,
    where that is known otherwise than by running it there (an ensemble whose members have seen them). `delivery_s` is what
    is kept behind the deadline to make the files that were asked for; on a busy machine the ladder leaves more. Emits one
    `Compressed` for each attempt, the first for the measurement before any of them.
    """
    ladder = _Ladder(
        candidate, prepared, wish, out, run_in_child, math.inf if deadline is None else deadline, emit, list(done), honest,
        students, threads, seed, delivery_s,
    )
    return ladder.climb()


def estimate_s(formats: Sequence[FormatRequest], forced: Sequence[str] = ()) -> float:
    """Seconds to reserve: the measurement that comes first, the rung that is tried whatever it shows, with time to recover,
    and those that the user wants and a file of the formats would hold."""
    usual = [t.rung.shortest_s for t in techniques if t.rung is not None and "download" in t.rung.needs]
    wanted = [
        t.rung for t in techniques
        if t.rung is not None and t.id in forced and "download" not in t.rung.needs and t.rung.held(formats)
    ]
    return MEASURE_S + RECOVER * max(usual, default=0.0) + sum(
        RECOVER * SAFETY * (r.shortest_s + MEASURE_S / 2) for r in wanted
    )


class _Ladder:
    def __init__(
        self, candidate: Path, prepared: PreparedDataset, wish: Wish, out: Path, run_in_child: RunInChild, deadline: float,
        emit: Callable[[Any], None], done: list[Compressed], honest: float | None, students: Students, threads: int,
        seed: int, delivery_s: float,
    ):
        self.prepared, self.wish, self.out, self.run_in_child = prepared, wish, out, run_in_child
        self.deadline, self.emit, self.done, self.honest = deadline, emit, done, honest
        self.students, self.threads, self.seed, self.delivery_s = students, threads, seed, delivery_s
        self.values, _ = compose.fixed(wish.settings.parameters)
        self.precision = narrowest(wish.formats, "tflite", "onnx") or "float32"
        self.original = candidate
        self.spare: list[Standing] = []
        """Beyond the guard, but within limits that the model so far doesn't meet."""
        self.rows: int | None = None

    # --- the climb -----------------------------------------------------------------------------

    def climb(self) -> Path:
        rungs = self._rungs()
        if not rungs:
            return self.original
        first = self._first()
        if first is None:
            return self.original
        self.base = self.best = first
        self._leave_to_delivery(first.event)
        rungs = [(technique, rung) for technique, rung in rungs if self._carried(technique, rung)]
        for number, (technique, rung) in enumerate(rungs):
            if self.spare and not {"size", "latency"} & set(rung.needs):
                self._settle()
            earlier: dict[str, Any] | None = None
            called = None
            for attempt in range(1, rung.attempts + 1):
                ended = self._known(technique.id, attempt)
                if ended is None:
                    need = self._need(technique, rung)
                    if need is None or (called in PRESSING and need not in PRESSING):
                        break
                    called = need
                    settings = self._settings(technique, need, attempt)
                    if settings == earlier and need not in (*PRESSING, "ensemble"):
                        break  # The user has settled them, so there is nothing else to try.
                    earlier = settings
                    ended = self._attempt(technique, rung, need, attempt, settings, rungs[number + 1 :])
                if ended is None or not self._judged(ended):
                    break
        self._settle()
        return self.best.folder

    def _rungs(self) -> list[tuple[Technique, Rung]]:
        """What the user allows, the first to be tried first."""
        asked = self.wish.settings
        chosen = [
            (t, t.rung) for t in techniques
            if t.rung is not None and t.id not in asked.forbid
            and (not asked.allow or t.id in {*asked.allow, *asked.force})
            and t.reason_against(self.prepared.meta.profile) is None
        ]
        return sorted(chosen, key=lambda pair: (pair[1].place, pair[0].id))

    def _carried(self, technique: Technique, rung: Rung) -> bool:
        """Whether a file that is asked for would hold what the rung makes. If none would, and it is called for, a note says
        so."""
        if rung.held(self.wish.formats):
            return True
        if self._need(technique, rung) is not None:
            self.emit(Noted(message=(
                f"{technique.id} isn't tried: what it makes is in {' and '.join(rung.carried_by)} alone, none of which is "
                "asked for."
            )))
        return False

    def _need(self, technique: Technique, rung: Rung) -> str | None:
        """What calls for the rung now: one of its needs, "" where the user does; None where nothing does."""
        here = self._needs()
        for need in rung.needs:
            if need in here and (need in PRESSING or rung.unasked is not None):
                return need
        named = technique.id in self.wish.settings.force or candidates.Candidate(self.original).recipe.has(technique.id)
        tried = any(e.technique == technique.id for e in self.done)
        return "" if named and not tried else None

    def _needs(self) -> set[str]:
        found = {"download"}
        limits, event = self.wish.constraints, self.best.event
        if limits.max_size_bytes is not None and (event.size_bytes or 0) > limits.max_size_bytes:
            found.add("size")
        if limits.max_parameters is not None and (event.parameters or 0) > limits.max_parameters:
            found.add("size")
        if limits.max_latency_ms is not None and (event.latency_ms or 0.0) > limits.max_latency_ms:
            found.add("latency")
        if self.precision == "int8" and event.precision and event.float_after is not None and (
            self._loss(event.float_after, event.validation_after) > self._allowed
        ):
            found.add("precision")
        if not candidates.Candidate(self.best.folder).recipe.members:
            found.add("width")
        # Where one network has taken an ensemble's place, a smaller one may be as good.
        if candidates.Candidate(self.original).recipe.members:
            found.add("ensemble")
        return found

    def _settings(self, technique: Technique, need: str, attempt: int) -> dict[str, ParameterValue]:
        """The technique's parameters: as the user sets them, else as the need wants them, else its own for this attempt."""
        recipe = candidates.Candidate(self.original).recipe
        named = dict(recipe.params_of(technique.id) or {})
        settings: dict[str, Any] = {name: domain.default for name, domain in technique.params.items()}
        settings |= technique.rung.steps[attempt - 1] if technique.rung and technique.rung.steps else {}
        if need in ("size", "latency") and "keep" in settings:
            # Each attempt goes on from the last one, so what is missing is measured anew.
            settings |= {"keep": round(self._share(need), 4), "of": "parameters" if need == "size" else "macs"}
        settings |= {k: v for k, v in named.items() if k in settings}
        settings |= {n.partition(".")[2]: v for n, v in self.values.items() if n.partition(".")[0] == technique.id}
        return settings

    def _share(self, need: str) -> float:
        """What the limit leaves of the model so far."""
        limits, event = self.wish.constraints, self.best.event
        shares = [1.0]
        if need == "size" and limits.max_size_bytes is not None and event.size_bytes and event.parameters:
            # What travels in the file, and the graph, stay as large.
            weights = max(1.0, BYTES[event.precision] * event.parameters)
            shares.append(max(0.02, (MARGIN * limits.max_size_bytes - (event.size_bytes - weights)) / weights))
        if need == "size" and limits.max_parameters is not None and event.parameters:
            shares.append(limits.max_parameters / event.parameters)
        if need == "latency" and limits.max_latency_ms is not None and event.latency_ms:
            shares.append(MARGIN * limits.max_latency_ms / event.latency_ms)
        return min(shares)

    # --- an attempt ----------------------------------------------------------------------------

    def _attempt(
        self, technique: Technique, rung: Rung, need: str, attempt: int, settings: dict[str, Any],
        later: Sequence[tuple[Technique, Rung]],
    ) -> Compressed | None:
        """Runs a rung and measures what it gives. None where it wasn't begun."""
        began = time.monotonic()
        if technique.id == QAT and (against := compose.reason_against_qat(candidates.Candidate(self.best.folder).recipe)):
            self.emit(Noted(message=f"{technique.id} is left out: {against}."))
            return None
        time_s = self._time_s(rung, need, later)
        shortest_s = self._shortest_s(rung)
        if time_s < shortest_s:
            # Of a slow network the steps say more than what usual ones take.
            why = "" if shortest_s == rung.shortest_s else f", by what a step of the training took, and has {time_s:.0f} s"
            self.emit(Noted(message=f"No time was left for {technique.id}: it takes about {shortest_s:.0f} s{why}."))
            return None
        folder = self.out / f"{technique.id}-{attempt}"
        request: dict[str, Any] = {
            "candidate": str(self.best.folder), "prepared": str(self.prepared.path), "out": str(folder), "seed": self.seed,
            "metric": self.wish.metric, "settings": settings, "time_s": time_s, "threads": self.threads,
        }
        if technique.id == DISTILLATION:
            # The teacher stays the model that was to be delivered, however small the student.
            request["candidate"] = str(self.original)
            student = self._student(need, settings)
            epochs = 0 if student is None else student.epochs_within(time_s)
            if student is None or not epochs:
                why = "no smaller network of its family is left" if student is None else "there is too little time for it"
                self.emit(Noted(message=f"No student is trained ({technique.id}): {why}."))
                return None
            request["recipe"] = student.recipe.changed(epochs=epochs).to_dict()
        else:
            shutil.rmtree(folder, ignore_errors=True)
        base = self._before(technique)
        said: dict[str, Any] = {
            "technique": technique.id, "need": need, "attempt": attempt, "validation_before": base, "candidate": folder.name,
        }
        try:
            answer = self._child(rung.target, request, GRACE * time_s)
            measured = self._measured(folder)
        except AutoMLError as error:
            event = Compressed(
                **said, settings=settings, sparsity=0.0, validation_after=base, accepted=False,
                reason=" ".join(str(error).split())[:400], wall_s=time.monotonic() - began,
            )
            self._ended(event)
            return None
        for note in answer.get("notes") or ():
            self.emit(Noted(message=str(note)))
        event = Compressed(
            **said, **measured, settings=answer.get("settings") or settings, accepted=False,
            recipe=candidates.Candidate(folder).recipe, wall_s=time.monotonic() - began,
        )
        reason = self._reason_against(event, rung)
        event = event.changed(accepted=not reason, reason=reason)
        self._ended(event)
        return event

    def _student(self, need: str, settings: Mapping[str, Any]) -> Student | None:
        """The student that the need wants; None where there is none that is smaller than what there is."""
        parameters = self.best.event.parameters or 0
        if need in ("size", "latency"):
            return self.students(int(self._share(need) * parameters))
        if candidates.Candidate(self.best.folder).recipe.members:
            return self.students(None)
        return self.students(int(float(settings["share"]) * parameters))

    def _shortest_s(self, rung: Rung) -> float:
        """Seconds that the rung takes at least: what usual networks take, or the steps that it can't do without, by what
        those of the candidate's training took on average (a single one that was timed may have been the first, which is
        traced). Of what wasn't trained by steps, or as several networks, nothing more is known."""
        account = candidates.Candidate(self.best.folder).result
        epochs, part = int(account.get("epochs_done") or 0), str(account.get("part") or "")
        if not rung.rows or not epochs or not part or part == "folds" or account.get("profile") is None:
            return rung.shortest_s
        rows = self.prepared.count(part) * float((account.get("fidelity") or {}).get("data_fraction") or 1.0)
        row_s = TWIN_STEPS * float(account.get("step_s") or 0.0) / max(1.0, epochs * rows)
        return max(rung.shortest_s, MEASURE_S / 2 + (finetuning.SETUP_S + rung.rows * row_s) / (1 - twin_training.TAIL))

    def _time_s(self, rung: Rung, need: str, later: Sequence[tuple[Technique, Rung]]) -> float:
        """Seconds for the rung: all that is left where a need calls for it, but for what the user wants behind it; else what
        leaves the others theirs."""
        left_s = (self.deadline - time.monotonic()) / SAFETY - MEASURE_S / 2
        if left_s == math.inf:
            return min(rung.longest_s, WITHOUT_LIMIT_S)
        needs = [(r, self._need(t, r)) for t, r in later]
        pressing = sum(r.shortest_s + MEASURE_S / 2 for r, n in needs if n in PRESSING)
        if need in (*PRESSING, "ensemble", ""):
            # One network in the place of several is worth more than a smaller download of them.
            left_s -= pressing
            wanted = [r.shortest_s + MEASURE_S / 2 for r, n in needs if n == ""]
            fair = max(left_s / (1 + len(wanted)), left_s - 2 * sum(wanted)) if need == "" else left_s - sum(wanted)
            # Where there isn't time for all that is wanted, the first has it.
            return min(rung.longest_s, left_s if left_s - sum(wanted) < rung.shortest_s else fair)
        # What nothing presses for leaves the others, which are tried by default, their time, and what is wanted more of it.
        kept = sum(
            (r.shortest_s + MEASURE_S / 2) * (RECOVER if n == "" else 1.0)
            for r, n in needs if n is not None and n not in PRESSING
        )
        waiting = sum(n is not None for _, n in needs)
        left_s -= pressing
        if left_s - kept < rung.shortest_s:
            return 0.0
        return min(rung.longest_s, left_s - kept, max(left_s / (1 + waiting), left_s - 2 * kept))

    def _leave_to_delivery(self, first: Compressed) -> None:
        """Moves the deadline where the first measurement took longer than planned: what comes behind the ladder writes and
        runs files too, and a file comes before a smaller one. While no file meets the limits, rungs are all that can help,
        and what is left to it is enough for one."""
        slower = first.wall_s / MEASURE_S - 1
        if slower <= 0 or self.delivery_s <= 0 or self.deadline == math.inf:
            return
        more_s = slower * self.delivery_s / (1 if self._within_limits(first) else max(1, len(self.wish.formats)))
        self.deadline -= more_s
        self.emit(Noted(message=(
            f"The machine is busy: measuring the model took {first.wall_s:.0f} s in the place of {MEASURE_S:.0f} s. "
            f"Compression leaves {more_s:.0f} s more to the files."
        )))

    def _known(self, technique: str, attempt: int) -> Compressed | None:
        """The event of an attempt that ended before a restart."""
        return next((e for e in self.done if e.technique == technique and e.attempt == attempt and e.need != "first"), None)

    def _ended(self, event: Compressed) -> None:
        self.done.append(event)
        self.emit(event)
        if not event.accepted and not (self._limited and self._within_limits(event)):
            shutil.rmtree(self.out / event.candidate, ignore_errors=True)

    def _judged(self, event: Compressed) -> bool:
        """Takes over what an attempt gave; whether another one makes sense."""
        folder = self.out / event.candidate
        if event.accepted and folder.is_dir():
            self.best = Standing(folder, event)
            return True
        if folder.is_dir() and self._within_limits(event) and self._limited:
            self.spare.append(Standing(folder, event))
        return False

    def _settle(self) -> None:
        """Where the limits aren't met, the best of what meets them is taken beyond the guard."""
        if self.spare and not self._within_limits(self.best.event):
            sign = metrics.get(self.wish.metric).signed
            self.best = max(self.spare, key=lambda standing: sign(standing.value))
            event = self.best.event
            self.emit(Noted(
                severity="warning",
                message=f"{event.technique} costs more than the guard allows ({self.wish.metric} "
                f"{event.validation_before:.4g} → {event.validation_after:.4g}), but nothing better meets the limits: "
                "its model is delivered.",
            ))
        self.spare = []

    # --- the guard -----------------------------------------------------------------------------

    def _before(self, technique: Technique) -> float:
        """The metric that an attempt is compared with: of the model as it came, as a file; of students, which haven't seen
        the validation rows, what the model is known to score on rows that it hasn't seen."""
        taught = technique.id == DISTILLATION or candidates.Candidate(self.best.folder).recipe.has(DISTILLATION)
        return self.honest if taught and self.honest is not None else self.base.value

    @property
    def _allowed(self) -> float:
        return GUARD * self.wish.tolerance + _ROUNDING

    @property
    def _limited(self) -> bool:
        return self.wish.constraints != Constraints()

    def _reason_against(self, event: Compressed, rung: Rung) -> str:
        """Why what was measured isn't kept; "" where it is."""
        metric, need = self.wish.metric, event.need
        loss = self._loss(event.validation_before, event.validation_after)
        if need == "precision":
            gain = self._loss(event.validation_after, self.best.value)
            if gain <= 0:
                return f"{metric} in {event.precision} is no better than after plain quantisation"
            return ""
        asked = need in ("size", "latency", "")
        if need in ("size", "latency") and not self._smaller(event, need):
            return f"it doesn't come nearer to the limit of {need}"
        share = GUARD if asked or rung.unasked is None else rung.unasked
        allowed = share * self.wish.tolerance
        if loss > allowed + _ROUNDING:
            return f"{metric} would lose {loss:.4f}, and {event.technique} may cost at most {allowed:g}"
        return ""

    def _smaller(self, event: Compressed, need: str) -> bool:
        best = self.best.event
        if need == "size":
            return (event.size_bytes or 0) < (best.size_bytes or 0)
        return (event.latency_ms or 0.0) < (best.latency_ms or 0.0)

    def _within_limits(self, event: Compressed) -> bool:
        limits = self.wish.constraints
        return event.size_bytes is not None and (
            (limits.max_size_bytes is None or event.size_bytes <= limits.max_size_bytes)
            and (limits.max_latency_ms is None or (event.latency_ms or 0.0) <= limits.max_latency_ms)
            and (limits.max_parameters is None or (event.parameters or 0) <= limits.max_parameters)
        )

    def _loss(self, before: float, after: float) -> float:
        """How much worse `after` is: absolute, or relative to `before` for errors."""
        declared = metrics.get(self.wish.metric)
        loss = declared.signed(before) - declared.signed(after)
        return loss if declared.larger_is_better else loss / max(abs(before), 1e-12)

    # --- measuring -----------------------------------------------------------------------------

    def _first(self) -> Standing | None:
        """The model as it came, measured; None where there is no time for it."""
        known = next((e for e in self.done if e.need == "first"), None)
        if known is not None:
            self.rows = known.rows
            return Standing(self.original, known)
        if self.deadline - time.monotonic() < MEASURE_S:
            self.emit(Noted(message=f"No time was left to compress: measuring takes about {MEASURE_S:.0f} s."))
            return None
        began = time.monotonic()
        source = candidates.Candidate(self.original)
        try:
            measured = self._measured(self.original)
        except AutoMLError as error:
            value = float((source.result.get("validation") or {}).get(self.wish.metric, 0.0))
            measured = {"sparsity": 0.0, "validation_after": value, "float_after": value, "size_bytes": None,
                        "parameters": int(source.result.get("parameters") or 0) or None}
            reason = " ".join(str(error).split())[:400]
            event = Compressed(
                technique=FIRST, need="first", validation_before=value, accepted=False, reason=reason, recipe=source.recipe,
                wall_s=time.monotonic() - began, **measured,
            )
        else:
            loss = self._loss(measured["float_after"], measured["validation_after"])
            fits = loss <= self.wish.tolerance + _ROUNDING
            event = Compressed(
                technique=FIRST, need="first", validation_before=measured["float_after"], accepted=fits,
                recipe=source.recipe, reason="" if fits else f"{self.precision} loses {loss:.4f} of {self.wish.metric}",
                wall_s=time.monotonic() - began, **measured,
            )
        self.done.append(event)
        self.emit(event)
        return Standing(self.original, event)

    def _measured(self, folder: Path) -> dict[str, Any]:
        """What a candidate is worth as a file, as fields of an event. Raises the child's error."""
        answer = self._child(
            "automl.export.point:measure",
            {
                "candidate": str(folder), "prepared": str(self.prepared.path), "precision": self.precision,
                "metric": self.wish.metric, "seed": self.seed, "time_s": MEASURE_S / 2, "rows": self.rows,
                "max_size_bytes": self.wish.constraints.max_size_bytes,
            },
            10 * MEASURE_S,
        )
        self.rows = int(answer["rows"])
        return {
            "precision": self.precision, "validation_after": float(answer["value"]), "float_after": float(answer["float"]),
            "sparsity": float(answer["sparsity"]), "size_bytes": int(answer["size_bytes"]),
            "compressed_bytes": int(answer["compressed_bytes"]), "latency_ms": float(answer["latency_ms"]),
            "parameters": int(answer["parameters"]), "macs": int(answer["macs"]), "rows": self.rows,
        }

    def _child(self, target: str, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        left_s = self.deadline - time.monotonic()
        return self.run_in_child(
            target=target, request=request, memory_bytes=CHILD_MEMORY_BYTES, preload=warm(), env=CHILD_ENV,
            timeout_s=max(1.0, min(limit_s, left_s)),
        )
