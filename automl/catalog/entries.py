"""What the catalogue holds: techniques, architectures, task types and formats, each declared once by a decorator.

A declaration is import-light: its module imports this package and nothing heavy; code that needs Keras stands in
functions that a `plan.Component` names, or imports it where it is used.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from automl.catalog import registry, slots
from automl.catalog.blueprint import Blueprint, Drawing
from automl.catalog.domains import Domain
from automl.catalog.genotypes import PARAMETER, Genotypes
from automl.catalog.plan import TrainPlan
from automl.catalog.relaxation import Relaxation
from automl.catalog.rung import Rung
from automl.spec import ColumnInfo, DatasetInfo, FormatRequest, Modality, Profile
from automl.spec.recipe import ParameterValue

When = Callable[[Profile], str | None]
"""None where an entry applies to the data; else the reason why not ("needs at least 2 classes")."""


def _always(profile: Profile) -> str | None:
    return None


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].rstrip(".")


@dataclasses.dataclass(frozen=True)
class Technique:
    """A declared technique. `apply(plan, **params)` returns the changed plan."""

    id: str
    stage: str
    """One of `slots.STAGES`: the order of application."""
    slot: str | None
    """A slot (see `slots.SLOTS`) holds exactly one technique; None is a switch."""
    modalities: frozenset[Modality]
    kinds: frozenset[str]
    """"classification", "regression"."""
    params: Mapping[str, Domain]
    reference: str
    conflicts: Mapping[str, str]
    """Other technique's or architecture's id → why the two exclude each other (symmetric: declare it once)."""
    requires: Mapping[str, str]
    """Technique's or architecture's id → why this one needs it."""
    own_part: str | None
    """The part (see `slots.PARTS`) that a switch shapes, if not the steps; a slot's techniques have their slot's."""
    searched: bool
    """Whether the search chooses it. Else the service applies it to every job, as `options` set it."""
    options: str
    """Of what isn't searched: the options of the command line, or the fields of a job, that steer it."""
    unsupported_formats: Mapping[str, str]
    """"tflite:int8" or "tflite" → why a model with this technique can't be given in it."""
    on_request: str
    """Why the search proposes it only when the user forces or allows it by name; "" where it may be tried unasked."""
    when: When
    cost: float
    """Factor on the time of an epoch."""
    default_for: frozenset[Modality]
    """Modalities in whose recipes it is unless the search says otherwise: its slot's default, or a switch that starts
    on."""
    order: int
    """Place among the techniques of its stage: smaller ones are applied first, equal ones by id."""
    apply: Callable[..., TrainPlan]
    doc: str
    """The essay: what it changes, why it may help, when it hurts, how it is computed."""
    rung: Rung | None = None
    """Of the stage `compress`: how the ladder tries it. Whether it does say needs that are measured, and the user."""
    travels: Callable[..., int] | None = None
    """(profile, **params) → compressed bytes that a file of a model has more for this technique, for encoding its inputs."""
    not_for_qat: str = ""
    """Why a model with this technique isn't trained under 8-bit quantisation (`automl.compression.qat`); "" where it may
    be."""

    @property
    def summary(self) -> str:
        """The first line of the essay."""
        return _first_line(self.doc)

    @property
    def part(self) -> str | None:
        """The part of a network, or of its training, that it shapes; it goes only with families that have it."""
        if self.slot is not None:
            return slots.SLOTS[self.slot].part
        return self.own_part or (None if self.stage in slots.AFTER_TRAINING else slots.STEPS)

    @property
    def decided_by(self) -> str:
        """Of what the search doesn't choose: the options that steer it, or that every job has it; "" for what it chooses."""
        return "" if self.searched else self.options or "every job has it"

    @property
    def default(self) -> bool:
        """A default for some data."""
        return bool(self.default_for)

    def is_default(self, profile: Profile) -> bool:
        """A default for these data."""
        return profile.modality in self.default_for

    def reason_against(self, profile: Profile) -> str | None:
        """Why this technique doesn't apply to the data; None when it does."""
        if profile.modality not in self.modalities:
            return f"applies to {', '.join(sorted(self.modalities))}, the data are {profile.modality}"
        if profile.kind not in self.kinds:
            return f"applies to {', '.join(sorted(self.kinds))}, the task is {profile.kind}"
        return self.when(profile)

    def reason_against_format(self, wanted: str) -> str:
        """Why a model with this technique can't be given as "tflite:int8" or the like; "" when it can. What packs another
        format's model can't hold what that can't."""
        asked = FormatRequest.parse(wanted)
        names = [asked.format, *([formats[asked.format].model] if asked.format in formats else [])]
        said = [str(FormatRequest(format=name, precision=asked.precision)) for name in names]
        return next((why for name in (*said, *names) if (why := self.unsupported_formats.get(name))), "")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A declared, searchable family. `build(inputs, builder, **params)` returns the features before the head."""

    id: str
    modalities: frozenset[Modality]
    params: Mapping[str, Domain]
    reference: str
    when: When
    cost: float
    provides: frozenset[str]
    """Ids of catalogue techniques that are parts of this family (blocks), for listing."""
    uses: frozenset[str]
    """Parts of a network (see `slots.PARTS`) that it has: techniques may shape them."""
    flat: tuple[str, ParameterValue] | None
    """A parameter and its value at which the family has no hidden layer."""
    conversion: Callable[..., float]
    """`conversion(profile, **params)`: factor on the time in which an artifact is written (of dense layers and convolutions:
    1)."""
    build: Callable[..., Any]
    """`build(inputs: dict[str, KerasTensor], builder: automl.architectures.builder.Builder, **params) -> KerasTensor`
    of shape [b, features]."""
    size: Callable[..., int] | None
    """`size(profile, **params)`: trainable parameters without building; None where only building tells."""
    overhead: Callable[..., int] | None
    """`overhead(profile, **params)`: bytes of an 8-bit .tflite file beside a byte a weight, about, where no blueprint tells:
    graph, scales, biases."""
    blueprint: Callable[..., Blueprint] | None
    """`blueprint(profile, **params)`: the network's parts up to the features, without building; None where it has none."""
    drawings: Callable[..., tuple[Drawing, ...]] | None
    """`drawings(**params)`: the architecture as graphs for people."""
    relaxation: Relaxation | None
    """All its genotypes as one network, where they can be mixed."""
    paths: Relaxation | None
    """The same where they can't: each mixture computes one of its inputs at a time (see `automl.nas.paths`)."""
    elastic: bool
    """Smaller networks of it are slices of larger ones, part by part (see `automl.nas.elastic`)."""
    fitted_by: str
    """"module:class" of the `automl.training.fitting.Fitting` that trains it in the place of gradient steps; its `build`
    gives the outputs themselves. "" for networks."""
    not_for_qat: str
    """Why its models aren't trained under 8-bit quantisation (`automl.compression.qat`), whatever their parameters; "" where
    they may be."""
    doc: str

    @property
    def summary(self) -> str:
        return _first_line(self.doc)

    @property
    def genotypes(self) -> Genotypes | None:
        """The space of its genotypes; None where it is drawn by hand."""
        found = self.params.get(PARAMETER)
        return found if isinstance(found, Genotypes) else None

    def reason_against(self, profile: Profile) -> str | None:
        if profile.modality not in self.modalities:
            return f"applies to {', '.join(sorted(self.modalities))}, the data are {profile.modality}"
        return self.when(profile)


@dataclasses.dataclass(frozen=True)
class Task:
    """A declared task type: what it takes, how it is measured, what its head looks like."""

    id: str
    modality: Modality
    """Of one example, as networks see it."""
    forms: frozenset[Modality]
    """Modalities of data sets that it takes: texts come as tables with a column of text, or as folders of texts."""
    kind: str
    metrics: tuple[str, ...]
    """Ids known to `automl.tasks.metrics`, all reported."""
    default_metric: Callable[[int], str]
    """Metric to optimise, from the number of classes (0 for regression)."""
    default_loss: str
    """Id of the technique in the loss slot."""
    needs_target: bool
    infer: Callable[[DatasetInfo, ColumnInfo | None], float]
    """How surely the data and target are of this task, in [0, 1]; 0 when they can't be."""
    takes: str
    """Data forms and target, as a phrase."""
    returns: str
    doc: str

    @property
    def summary(self) -> str:
        return _first_line(self.doc)


@dataclasses.dataclass(frozen=True)
class Format:
    """A declared artifact format with its precisions and where it runs."""

    id: str
    precisions: tuple[str, ...]
    suffix: str
    runtime: str
    """Distribution that runs it."""
    raw_input: bool
    """The file takes raw columns (preprocessing inside); else the tables for it travel with the file."""
    exporter: str
    """"module:function" that writes, called in a fresh child process (see `automl.export`)."""
    needs: tuple[str, ...]
    """Modules beyond the server's own that writing takes…"""
    extra: str
    """… and the extra of this distribution that brings them; "" for none."""
    missing: Callable[[], str]
    """What beyond modules is lacking here to write it, and what to do; "" for nothing."""
    model: str
    """Id of the format that its model is in: its own, but for those that pack the model of another with something more.
    What can't be given in that format can't be given in this."""
    threads: tuple[int, ...]
    """Numbers of threads by which its latency is measured, the first of which counts; those that the machine has."""
    doc: str

    @property
    def summary(self) -> str:
        return _first_line(self.doc)

    @property
    def lacking(self) -> str:
        """Why this machine can't write the format, with what to do; "" where it can. Imports nothing."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if not absent:
            return self.missing()
        names = " and ".join(absent)
        return f"{self.id} is written with {names}, which the server lacks: pip install 'automl[{self.extra}]' there"


techniques: registry.Registry[Technique] = registry.Registry("technique", "automl.techniques", "automl.export")
architectures: registry.Registry[Architecture] = registry.Registry("architecture", "automl.architectures")
tasks: registry.Registry[Task] = registry.Registry("task type", "automl.tasks")
formats: registry.Registry[Format] = registry.Registry("format", "automl.export")

BOTH_KINDS = ("classification", "regression")
QAT = "quantization-qat"
"""The technique that `not_for_qat` speaks of."""


def technique(
    *,
    id: str,
    stage: str,
    slot: str | None = None,
    modalities: Iterable[str] = tuple(Modality),
    kinds: Iterable[str] = BOTH_KINDS,
    params: Mapping[str, Domain] | None = None,
    reference: str = "",
    conflicts: Mapping[str, str] | None = None,
    requires: Mapping[str, str] | None = None,
    part: str | None = None,
    unsupported_formats: Mapping[str, str] | None = None,
    on_request: str = "",
    when: When = _always,
    cost: float = 1.0,
    default: bool | Iterable[str] = False,
    order: int = 0,
    rung: Rung | None = None,
    travels: Callable[..., int] | None = None,
    not_for_qat: str = "",
) -> Callable[[Callable[..., TrainPlan]], Callable[..., TrainPlan]]:
    """Declares a technique. The decorated `apply(plan, *, …) -> plan` brings the essay as its docstring (or its
    module's).

    `default` names the modalities in which the technique is the default of its slot, or a switch that starts on; True
    means all that it applies to. `part` names what a switch shapes (see `slots.PARTS`). `on_request` says why the search
    leaves it alone unless the user names it, `not_for_qat` why its models can't be trained under quantisation.
    """
    kept = tuple(modalities)

    def declare(apply: Callable[..., TrainPlan]) -> Callable[..., TrainPlan]:
        if stage not in slots.STAGES:
            raise ValueError(f"technique {id!r}: stage {stage!r} is none of {slots.STAGES}")
        if slot is not None and slot not in slots.SLOTS:
            raise ValueError(f"technique {id!r}: slot {slot!r} is none of {tuple(slots.SLOTS)}")
        if part is not None and (part not in slots.PARTS or slot is not None):
            raise ValueError(f"technique {id!r}: part {part!r} is none of {tuple(slots.PARTS)}, or its slot's part counts")
        if rung is not None and stage != "compress":
            raise ValueError(f"technique {id!r}: rungs of the ladder are of the stage compress")
        techniques.add(
            Technique(
                id=id, stage=stage, slot=slot, modalities=frozenset(map(Modality, kept)), kinds=frozenset(kinds),
                params=MappingProxyType(dict(params or {})), reference=reference,
                conflicts=MappingProxyType(dict(conflicts or {})), requires=MappingProxyType(dict(requires or {})),
                own_part=part, searched=True, options="",
                unsupported_formats=MappingProxyType(dict(unsupported_formats or {})), on_request=on_request, when=when,
                cost=cost,
                default_for=frozenset(map(Modality, kept if default is True else default or ())), order=order, apply=apply,
                doc=_doc(apply), rung=rung, travels=travels, not_for_qat=not_for_qat,
            )
        )
        return apply

    return declare


def capability(
    *, id: str, stage: str, options: str, doc: str, modalities: Iterable[str] = tuple(Modality),
    kinds: Iterable[str] = BOTH_KINDS, reference: str = "", params: Mapping[str, Domain] | None = None,
) -> Technique:
    """Declares a technique of the catalogue that isn't chosen by the search: the service does it in every job (checks,
    versions of the data), or a setting of the job turns it on. `doc` is usually the module's docstring; `options` says
    which options steer it, "" when none does; `params` are settings that the user alone makes (`--set`)."""
    if stage not in slots.STAGES:
        raise ValueError(f"capability {id!r}: stage {stage!r} is none of {slots.STAGES}")
    entry = Technique(
        id=id, stage=stage, slot=None, modalities=frozenset(map(Modality, modalities)), kinds=frozenset(kinds),
        params=MappingProxyType(dict(params or {})), reference=reference, conflicts=MappingProxyType({}),
        requires=MappingProxyType({}),
        own_part=None, searched=False, options=options, unsupported_formats=MappingProxyType({}), on_request="",
        when=_always, cost=1.0, default_for=frozenset(), order=0, apply=_unchanged, doc=inspect.cleandoc(doc),
    )
    techniques.add(entry)
    return entry


def _unchanged(plan: TrainPlan, **settings: Any) -> TrainPlan:
    return plan


def architecture(
    *,
    id: str,
    modalities: Iterable[str],
    params: Mapping[str, Domain],
    reference: str = "",
    when: When = _always,
    cost: float = 1.0,
    provides: Iterable[str] = (),
    uses: Iterable[str] = (),
    flat: tuple[str, ParameterValue] | None = None,
    conversion: float | Callable[..., float] = 1.0,
    size: Callable[..., int] | None = None,
    overhead: Callable[..., int] | None = None,
    blueprint: Callable[..., Blueprint] | None = None,
    drawings: Callable[..., tuple[Drawing, ...]] | None = None,
    relaxation: Relaxation | None = None,
    paths: Relaxation | None = None,
    elastic: bool = False,
    fitted_by: str = "",
    lacks: Iterable[str] = (),
    not_for_qat: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares an architecture family by its `build(inputs, builder, **params)`; the essay is its module's docstring. With a
    `blueprint` the size follows from it. `fitted_by` names what trains a family that isn't trained by gradient steps,
    `lacks` the parts that it hasn't of those that networks have, `not_for_qat` says why its models can't be trained under
    quantisation."""

    used = frozenset(uses) | (frozenset() if fitted_by else frozenset({slots.STEPS, slots.HIDDEN}) - frozenset(lacks))
    if size is None and blueprint is not None:
        lay_down = blueprint

        def size(profile: Profile, **params: Any) -> int:
            return lay_down(profile, **params).headed(profile.outputs).parameters

    factor = conversion if callable(conversion) else lambda profile, **params: float(conversion)
    if unknown := used - slots.PARTS.keys():
        raise ValueError(f"architecture {id!r}: uses {sorted(unknown)}, none of {tuple(slots.PARTS)}")

    def declare(build: Callable[..., Any]) -> Callable[..., Any]:
        architectures.add(
            Architecture(
                id=id, modalities=frozenset(map(Modality, modalities)), params=MappingProxyType(dict(params)),
                reference=reference, when=when, cost=cost, provides=frozenset(provides), uses=used, flat=flat,
                conversion=factor, build=build, size=size, overhead=overhead, blueprint=blueprint, drawings=drawings,
                relaxation=relaxation, paths=paths, elastic=elastic, fitted_by=fitted_by, not_for_qat=not_for_qat,
                doc=_essay(build),
            )
        )
        return build

    return declare


def task(
    *,
    id: str,
    modality: str,
    kind: str,
    metrics: Iterable[str],
    default_metric: Callable[[int], str],
    default_loss: str,
    takes: str,
    returns: str,
    forms: Iterable[str] = (),
    needs_target: bool = True,
) -> Callable[[Callable[[DatasetInfo, ColumnInfo | None], float]], Callable[[DatasetInfo, ColumnInfo | None], float]]:
    """Declares a task type by its `infer(info, target) -> certainty`; the essay is the module's docstring, or its own
    where the module has none. `forms` are the modalities of data sets that it takes, if not its own."""

    def declare(infer: Callable[[DatasetInfo, ColumnInfo | None], float]) -> Callable[..., float]:
        tasks.add(
            Task(
                id=id, modality=Modality(modality), forms=frozenset(map(Modality, tuple(forms) or (modality,))), kind=kind,
                metrics=tuple(metrics), default_metric=default_metric,
                default_loss=default_loss, needs_target=needs_target, infer=infer, takes=takes, returns=returns,
                doc=_essay(infer),
            )
        )
        return infer

    return declare


def format(
    *, id: str, precisions: Iterable[str], suffix: str, runtime: str, raw_input: bool, exporter: str, doc: str,
    needs: Iterable[str] = (), extra: str = "", missing: Callable[[], str] = lambda: "", model: str = "",
    threads: Iterable[int] = (1,), technique: str = "", reference: str = "",
) -> Format:
    """Declares an artifact format; `doc` is usually the module's docstring. `needs` are modules that writing takes beyond
    the server's own, which the distribution's `extra` brings. `model` is the id of the format whose model it packs.

    With that it is declared as a technique of the stage `export`, under the id `technique` if it has another name among
    techniques than among formats.
    """
    entry = Format(
        id=id, precisions=tuple(precisions), suffix=suffix, runtime=runtime, raw_input=raw_input, exporter=exporter,
        needs=tuple(needs), extra=extra, missing=missing, model=model or id, threads=tuple(threads),
        doc=inspect.cleandoc(doc),
    )
    formats.add(entry)
    capability(id=technique or id, stage="export", options=f"--format {id}", doc=doc, reference=reference)
    return entry


def _essay(function: Callable[..., Any]) -> str:
    """The module's docstring: a family or task has a file to itself, and its function's docstring speaks of the function."""
    module = inspect.getmodule(function)
    return inspect.cleandoc(module.__doc__) if module and module.__doc__ else _doc(function)


def _doc(function: Callable[..., Any]) -> str:
    """The function's own docstring, else its module's."""
    module = inspect.getmodule(function)
    text = function.__doc__ or (module.__doc__ if module else None)
    if not text or not text.strip():
        raise ValueError(f"{function.__module__}.{function.__qualname__}: a declaration needs a docstring")
    return inspect.cleandoc(text)
