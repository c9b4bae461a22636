"""Applies a declared technique to a plan."""

from __future__ import annotations

from typing import Any

import pytest

from automl.catalog import TrainPlan, techniques


def applied(id: str, plan: TrainPlan | None = None, **params: Any) -> TrainPlan:
    """The plan after a technique, with its defaults where no parameter is given."""
    technique = techniques[id]
    values = {name: domain.default for name, domain in technique.params.items()} | params
    return technique.apply(plan or TrainPlan(), **values)


@pytest.fixture
def apply():
    return applied
