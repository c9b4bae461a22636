"""The report's section on a supernet: curves of what was watched, why it ended, what it found and what became of that."""

from __future__ import annotations

from automl.report.page import render
from automl.spec import Choice, Fidelity, Found, JobState, Measurement, Outcome, Recipe
from automl.spec.event import SupernetEnded, SupernetMeasured, SupernetStarted, TrialEnded, TrialMeasured, TrialStarted
from tests.unit.report.jobs import job

GENOTYPE = "conv3.none.conv3.skip.none.conv3"
FAMILY = Choice(id="nas-cell", params={"genotype": GENOTYPE, "width": 16})


def round_of(n: int, **watched: float) -> SupernetMeasured:
    return SupernetMeasured(
        supernet="s01", attempt=1,
        measurement=Measurement(
            epoch=n, train_loss=1.0, validation={**watched, "steps": 50.0 * n}, score=0.5, elapsed_s=n, step_s=n
        ),
    )


def test_the_section_draws_the_entropy_says_why_it_ended_and_what_became_of_what_was_found():
    state, spec = job("classification")
    recipe = Recipe(task="image-classification", architecture=FAMILY)
    payloads = [
        SupernetStarted(supernet="s01", attempt=1, method="darts", recipe=recipe, seconds=60.0, slot=0),
        round_of(1, **{"entropy-cell": 1.0}), round_of(2, **{"entropy-cell": 0.6}, eigenvalue=0.2),
        SupernetEnded(
            supernet="s01", attempt=1, outcome=Outcome.COMPLETED, message="3 edges of a cell prefer the shortcut",
            found=(Found(architecture=FAMILY, note="what the edges preferred before the collapse"),),
            wall_s=61.0, step_s=50.0,
        ),
        TrialStarted(trial="t99", attempt=1, recipe=recipe, fidelity=Fidelity(epochs=1), origin="darts", slot=0),
        TrialMeasured(
            trial="t99", attempt=1,
            measurement=Measurement(
                epoch=1, train_loss=1.0, validation={state.prepared.metric: 0.4321}, score=0.4321, elapsed_s=1, step_s=1
            ),
        ),
        TrialEnded(
            trial="t99", attempt=1, outcome=Outcome.COMPLETED, score=0.4321, best_epoch=1, parameters=10, wall_s=2, step_s=1
        ),
    ]
    told = state.model_copy(deep=True)
    for n, payload in enumerate(payloads, told.sequence + 1):
        told.apply(event(n, payload))
    page = render(told, spec)
    section = page[page.index('id="supernet"') :]
    section = section[: section.index("</section>")]
    assert "darts trained a supernet of nas-cell for 100 steps" in section
    assert "3 edges of a cell prefer the shortcut" in section
    assert "entropy of the choices of s01 by round" in section
    assert "eigenvalue of s01 by round" in section
    assert GENOTYPE in section
    assert "0.432" in section
    assert "(t99)" in section


def test_expected_costs_are_drawn_against_what_they_aim_at():
    state, spec = job("classification")
    recipe = Recipe(task="image-classification", architecture=FAMILY)
    told = state.model_copy(deep=True)
    payloads = [SupernetStarted(supernet="s01", attempt=1, method="proxylessnas", recipe=recipe, seconds=60.0, slot=0)]
    payloads += [round_of(n, **{"expected-ms": 2.0 / n, "limit-ms": 0.5, "entropy-blocks": 1.0 / n}) for n in (1, 2, 3)]
    for n, payload in enumerate(payloads, told.sequence + 1):
        told.apply(event(n, payload))
    page = render(told, spec)
    section = page[page.index('id="supernet"') :]
    section = section[: section.index("</section>")]
    assert "expected latency of one example in milliseconds of s01 by round" in section
    assert "entropy of the choices of s01 by round" in section
    assert "int8 file" not in section


def event(sequence: int, payload):
    from automl.spec import Event

    return Event(sequence=sequence, time=1_700_000_000.0 + sequence, payload=payload)


def test_jobs_without_a_supernet_have_no_such_section():
    state, spec = job("classification")
    assert isinstance(state, JobState)
    assert 'id="supernet"' not in render(state, spec)
