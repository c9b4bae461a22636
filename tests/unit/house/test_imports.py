"""Light things stay light: what a fresh interpreter has loaded after an import."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

AUTOML = str(Path(sys.executable).parent / "automl")
HEAVY = ("tensorflow", "keras", "keras_tuner", "tf_keras", "tensorflow_model_optimization", "jax", "torch", "ray")
TABLES = ("pandas", "pyarrow", "sklearn", "matplotlib", "imblearn")

IMPORTS = {
    # what the first import stands for: (statement, packages it must not load)
    "the client": ("import automl_client", (*HEAVY, *TABLES, "pydantic", "sqlalchemy", "automl", "automl_server", "rich")),
    "the client's asyncio form": (
        "import automl_client.aio",
        (*HEAVY, *TABLES, "pydantic", "sqlalchemy", "automl", "automl_server"),
    ),
    "the command line": ("import automl_client.cli", (*HEAVY, *TABLES, "grpc", "numpy", "rich", "automl", "automl_server")),
    "the server": ("import automl_server.app", (*HEAVY, *TABLES, "PIL", "automl_client", "automl.data", "automl.training")),
    "the catalogue, listed": (
        "from automl import catalog\n"
        "for registry in (catalog.techniques, catalog.architectures, catalog.tasks, catalog.formats):\n"
        "    assert list(registry)",
        (*HEAVY, *TABLES, "grpc", "sqlalchemy", "click"),
    ),
    "the types": ("import automl.spec", (*HEAVY, *TABLES, "numpy", "grpc", "sqlalchemy", "click")),
    "the report": ("import automl.report.page", (*HEAVY, *TABLES, "grpc", "sqlalchemy", "click")),
}


def loaded_after(statement: str) -> list[str]:
    """Names in sys.modules of a fresh interpreter after the statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", IMPORTS)
def test_an_import_loads_nothing_heavy(name):
    statement, forbidden = IMPORTS[name]
    modules = loaded_after(statement)
    assert [m for m in modules if m in forbidden or m.startswith(tuple(f"{f}." for f in forbidden))] == []


@pytest.mark.parametrize("arguments", [["-c", "import automl_client"], [AUTOML, "--help"]])
def test_the_client_starts_in_a_moment(arguments):
    """Processor time, so that other work on the machine doesn't count; the aim is 0.3 s."""

    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, timeout=60)
        after = os.times()
        return (after.children_user - before.children_user) + (after.children_system - before.children_system)

    once()  # writes the byte code
    assert statistics.median(once() for _ in range(5)) < 0.3
