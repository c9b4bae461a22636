"""What holds for every test: one thread for each process, quiet libraries, and no trace in the user's own folders.

Set before anything is imported, and inherited by the processes that tests start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

# One worker of pytest has one core; TensorFlow would start a thread for each core of the machine.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds, or leaves behind, a server, a configuration or a credential of the person who runs it."""
    for name in [n for n in os.environ if n.startswith("AUTOML_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AUTOML_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def penguins(root: Path) -> Path:
    """A small real table with missing values."""
    return root / "examples" / "data" / "penguins.csv"


_FIRST_STATES: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _the_same_draws_in_any_order(request: pytest.FixtureRequest) -> None:
    """A test module's generator `RNG` begins every test as it stood when the module was read: which tests ran before, on
    which worker, changes nothing."""
    generator = getattr(request.module, "RNG", None)
    if hasattr(generator, "bit_generator"):
        first = _FIRST_STATES.setdefault(request.module.__name__, generator.bit_generator.state)
        generator.bit_generator.state = first
