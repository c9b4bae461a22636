"""Inspects a data set's bytes in a process of its own: parsers meet what strangers send, and the server must outlive it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pydantic
import structlog

from automl.spec import DatasetInfo, InvalidData, Violation
from automl_server import processes
from automl_server.config import Settings

_ATTEMPTS = 3
_OUTPUT_BYTES = 64 << 20
_INVALID_DATA = 2
"""Exit code of `python -m automl.data inspect` for data that can't be used."""

log = structlog.get_logger(__name__)


class Inspector:
    """Runs `python -m automl.data inspect`, a few at once."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._places = asyncio.Semaphore(settings.inspect_at_once)

    async def inspect(self, path: Path, filename: str, has_header: bool | None) -> DatasetInfo:
        """What is in the file. Raises `InvalidData` with each fault, also when the parser runs out of time or memory or
        dies of a signal three times; `RuntimeError` for a defect of ours."""
        command = [*self._settings.inspect_command, str(path), "--filename", filename]
        if has_header is not None:
            command += ["--has-header", "true" if has_header else "false"]
        for attempt in range(1, _ATTEMPTS + 1):
            async with self._places:
                done = await processes.run_limited(
                    command,
                    timeout_s=self._settings.inspect_timeout_s,
                    memory_bytes=self._settings.inspect_memory_bytes,
                    output_bytes=_OUTPUT_BYTES,
                )
            if done.timed_out:
                limit = self._settings.inspect_timeout_s
                raise InvalidData.at(
                    filename, f"reading it took more than {limit:g} s", "Send a smaller file.", "INSPECTION_TIMED_OUT"
                )
            if done.overflowed:
                raise InvalidData.at(
                    filename, "its description is larger than 64 MiB", "Send fewer columns.", "TOO_MANY_COLUMNS"
                )
            if done.returncode == 0:
                return _parsed(done.stdout)
            if done.returncode == _INVALID_DATA and (violations := _violations(done.stdout)):
                raise InvalidData(violations)
            log.warning(
                "inspection failed",
                filename=filename,
                attempt=attempt,
                returncode=done.returncode,
                stderr=done.stderr.decode(errors="replace"),
            )
            if b"MemoryError" in done.stderr:
                limit_mib = self._settings.inspect_memory_bytes >> 20
                raise InvalidData.at(
                    filename, f"reading it takes more than {limit_mib} MiB", "Send a smaller file.", "TOO_LARGE"
                )
            if done.returncode > 0:
                raise RuntimeError(f"the inspection of a data set ended with code {done.returncode}")
        raise InvalidData.at(
            filename,
            f"the parser died of signal {-done.returncode} in {_ATTEMPTS} of {_ATTEMPTS} attempts",
            "The file is damaged, or needs more memory than there is.",
            "PARSER_CRASHED",
        )


def _parsed(output: bytes) -> DatasetInfo:
    try:
        return DatasetInfo.from_dict(json.loads(output))
    except (ValueError, pydantic.ValidationError) as error:
        raise RuntimeError("the inspection of a data set printed something that is no DatasetInfo") from error


def _violations(output: bytes) -> list[Violation]:
    try:
        return [Violation.from_dict(item) for item in json.loads(output)["violations"]]
    except (ValueError, KeyError, TypeError, pydantic.ValidationError):
        return []  # then the code 2 wasn't about the data: reported as a defect, with what it printed in the log
