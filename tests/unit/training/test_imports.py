"""What training loads, and what a process that forks trainings has started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def _run(code: str, **env: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_result_is_read_without_keras() -> None:
    code = "import sys, automl.training.result; print([m for m in ('keras', 'tensorflow', 'pandas') if m in sys.modules])"
    assert _run(code) == "[]"


def test_only_one_module_imports_tensorflow() -> None:
    import automl.training

    folder = Path(automl.training.__file__).parent
    found = {path.name for path in folder.glob("*.py") if "import tensorflow" in path.read_text()}
    assert found == {"backend_tensorflow.py"}


def test_preloading_starts_no_runtime() -> None:
    """A forked child would inherit a runtime without its threads, and hang."""
    code = """
from automl.training import trainer
trainer.preload()
from tensorflow.python.eager import context
print(context.context()._context_handle)
"""
    assert _run(code, KERAS_BACKEND="tensorflow") == "None"
