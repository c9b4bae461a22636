"""How techniques, architectures, task types and formats are declared and found, and what follows from the
declarations."""

from automl.catalog.domains import Bool, Categorical, Float, Int, Text
from automl.catalog.entries import (
    architecture,
    architectures,
    capability,
    format,
    formats,
    task,
    tasks,
    technique,
    techniques,
)
from automl.catalog.plan import Component, TrainPlan
from automl.catalog.rung import Rung

__all__ = [
    "Bool", "Categorical", "Component", "Float", "Int", "Rung", "Text", "TrainPlan", "architecture", "architectures",
    "capability", "format", "formats", "task", "tasks", "technique", "techniques",
]
