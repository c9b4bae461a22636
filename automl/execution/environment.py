"""What of this process's environment its children may see.

An allow-list: children parse what users sent and run what users asked for, so no credential of the service (tokens, keys,
store addresses) may be in their environment, whatever it is called.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

NAMES = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SHELL",
    "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONHASHSEED", "PYTHONUTF8",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "KERAS_BACKEND", "KERAS_HOME", "MPLCONFIGDIR", "XLA_FLAGS", "JAX_PLATFORMS",
    "AUTOML_ONNXRUNTIME_WEB",
})
"""Variables that are passed on by name."""

PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "TF_", "OMP_", "OPENBLAS_", "MKL_")
"""Variables that are passed on by the beginning of their name: locale and numerics."""

SUSPECT = ("TOKEN", "SECRET", "PASSWORD", "CREDENTIAL", "API_KEY")
"""Never passed on, whatever a prefix says."""


def allowed(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of `source` (this process's when None) that children may have."""
    source = os.environ if source is None else source
    return {
        name: value for name, value in source.items()
        if (name in NAMES or name.startswith(PREFIXES)) and not any(word in name.upper() for word in SUSPECT)
    }


def for_training(threads: int) -> dict[str, str]:
    """Variables that hold the native libraries to `threads` threads; read by them when they are loaded.

    On tables two workers of one thread each do twice the steps of one worker with two threads, and more than two of two.
    Convolutions over pictures gain by threads: one and a half times the steps on two.
    """
    count = str(threads)
    return {
        "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count,
        "TF_NUM_INTRAOP_THREADS": count, "TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
