"""The server process stays light: no TensorFlow, Keras, pandas or scikit-learn, whatever it lists and checks."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import automl_server.app
from automl.catalog import entries, validation
from automl.spec import ColumnInfo, DatasetInfo, JobSpec

for registry in (entries.techniques, entries.architectures, entries.tasks, entries.formats):
    len(registry)
columns = tuple(ColumnInfo(name=n, kind="categorical", rows_missing=0, distinct=2, examples=("a", "b")) for n in "xy")
info = DatasetInfo(modality="table", format="csv", rows=10, columns=columns)
validation.violations(JobSpec(dataset="d", data={"target": "y"}), info)
heavy = {"tensorflow", "keras", "pandas", "sklearn", "keras_tuner", "tf_keras", "pyarrow", "jax", "torch", "PIL"}
print(sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1024)
"""


def test_a_fresh_interpreter_loads_nothing_heavy() -> None:
    loaded, mebibytes = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert loaded == "[]"
    assert int(mebibytes) < 150
