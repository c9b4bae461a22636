"""What an import loads, seen in fresh interpreters: light things stay light."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "keras", "tf_keras", "pandas", "sklearn", "automl", "automl_server", "pydantic", "sqlalchemy")
NOT_FOR_HELP = (*HEAVY, "grpc", "google.protobuf", "numpy", "rich", "PIL", "ai_edge_litert", "platformdirs")


def loaded_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["submit", "--help"], ["jobs", "--help"], ["predict", "--help"]], ids=" ".join
)
def test_help_loads_neither_grpc_nor_rich_nor_numpy(arguments):
    code = (
        "import contextlib, io\nfrom automl_client import cli\n"
        f"with contextlib.redirect_stdout(io.StringIO()): assert cli.main({arguments!r}) == 0"
    )
    assert not loaded_after(code) & set(NOT_FOR_HELP)


def test_help_of_one_command_loads_no_other():
    code = (
        "import contextlib, io\nfrom automl_client import cli\n"
        "with contextlib.redirect_stdout(io.StringIO()): cli.main(['report', '--help'])"
    )
    loaded = {name for name in loaded_after(code) if name.startswith("automl_client.cli.")}
    assert loaded == {"automl_client.cli.app", "automl_client.cli.report", "automl_client.cli.connection"}


def test_the_package_itself_loads_nothing():
    assert not loaded_after("import automl_client") & set(NOT_FOR_HELP)


def test_the_whole_client_loads_no_engine_and_no_tensorflow():
    code = (
        "import automl_client\nfor name in automl_client.__all__: getattr(automl_client, name)\n"
        "import automl_client.embedded, automl_client.cli.submit, automl_client.cli.delivery, automl_client.cli.doctor"
    )
    assert not loaded_after(code) & set(HEAVY)


def test_unknown_names_are_refused():
    import automl_client

    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        _ = automl_client.Klient
