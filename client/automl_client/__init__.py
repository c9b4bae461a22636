"""Talk to an automl server, and run what it returned.

    from automl_client import Client, Predictor

Names are loaded when they are first used: the command line's help needs neither gRPC nor NumPy. Nothing in this package
imports the engine, TensorFlow, Keras or pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl_client.aio import AsyncClient, AsyncJobHandle
    from automl_client.client import Client, JobHandle
    from automl_client.endpoint import Tls
    from automl_client.errors import AutoMLError
    from automl_client.predictor import Predictor
    from automl_client.types import Artifact, Dataset, Event, Job, JobSpec, ModelVersion, Trial
    from automl_client.verification import verify

__all__ = [
    "Artifact", "AsyncClient", "AsyncJobHandle", "AutoMLError", "Client", "Dataset", "Event", "Job", "JobHandle", "JobSpec",
    "ModelVersion", "Predictor", "Tls", "Trial", "verify",
]

_HOMES = {
    "AsyncClient": "aio", "AsyncJobHandle": "aio", "Client": "client", "JobHandle": "client", "Tls": "endpoint",
    "AutoMLError": "errors", "Predictor": "predictor", "Artifact": "types", "Dataset": "types", "Event": "types",
    "Job": "types", "JobSpec": "types", "ModelVersion": "types", "Trial": "types", "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
