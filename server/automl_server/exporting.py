"""Another artifact of a registered model, made by a child process from the model's kit, verified as in a job and signed."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import structlog

from automl.spec import Artifact, Infeasible, InvalidInput
from automl_server import errors, files, processes
from automl_server import resource_names as names
from automl_server.config import Settings
from automl_server.content import ContentStore
from automl_server.kits import Kits
from automl_server.signing import Signer
from automl_server.store import Store, datasets, models
from automl_server.store.models import ModelVersionRecord

log = structlog.get_logger(__name__)

_OUTPUT_BYTES = 8 << 20


class Exporter:
    """Makes one artifact at a time; others wait their turn."""

    def __init__(self, store: Store, content: ContentStore, kits: Kits, signer: Signer, settings: Settings):
        self._store, self._content, self._kits, self._signer, self._settings = store, content, kits, signer, settings
        self._place = asyncio.Semaphore(1)
        self._folder = settings.data / "exports"

    async def export(
        self, record: ModelVersionRecord, *, format: str, precision: str, max_size_bytes: int | None,
        tolerance: float | None, max_latency_ms: float | None = None, retarget: bool = False,
    ) -> Artifact:
        """The version's artifact of that format: the one that is there when it meets the limits, else a new one; with
        `retarget` one of another network, cut out of the supernet that was kept.

        `precision` "": the most exact that meets the limits. Raises `FailedPrecondition` when the version's kit was
        not kept or was deleted, `InvalidInput` for an unknown format, `Infeasible` with the reasons when none could be made.
        """
        async with self._place:
            there = [a for a in record.artifacts if a.format == format and precision in ("", a.precision)]
            fitting = [a for a in there if max_size_bytes is None or a.size_bytes <= max_size_bytes]
            if fitting and precision and max_latency_ms is None and not retarget:
                return fitting[0]
            kit = self._kits.path(record.name)
            if not await asyncio.to_thread(kit.is_file):
                raise errors.FailedPrecondition(
                    f"Nothing was kept of {record.name} to make another artifact of: it was deleted, or the version is "
                    "older than that. Its artifacts can be downloaded; automl reproduce trains it again.",
                    reason="KIT_MISSING",
                )
            await asyncio.to_thread(files.make_folder, self._folder)
            with tempfile.TemporaryDirectory(prefix="export-", dir=self._folder) as out:
                request = {
                    "kit": str(kit), "out": out, "format": format, "precision": precision,
                    "max_size_bytes": max_size_bytes, "tolerance": tolerance, "max_latency_ms": max_latency_ms,
                    "retarget": retarget, "cache": str(self._settings.data / "cache"),
                }
                said = await self._child(request)
                if "refused" in said:
                    reasons = "; ".join(f"{r['format']}:{r['precision']}: {r['reason']}" for r in said["refused"])
                    raise Infeasible(f"no artifact could be made: {reasons}")
                made = Artifact.from_dict(said["artifact"])
                return await self._register(record, made, Path(said["path"]))

    async def _child(self, request: dict[str, Any]) -> dict[str, Any]:
        done = await processes.run_limited(
            self._settings.export_command, stdin=json.dumps(request).encode() + b"\n",
            timeout_s=self._settings.export_timeout_s, memory_bytes=None, output_bytes=_OUTPUT_BYTES,
        )
        said = done.stderr.decode(errors="replace").strip()
        if done.timed_out:
            raise Infeasible(f"the artifact was not made within {self._settings.export_timeout_s:g} s")
        if done.returncode == 2:
            field, reason = ("retarget", "CANT_BE_RETARGETED") if request["retarget"] else ("format", "FORMAT_UNKNOWN")
            raise InvalidInput.at(field, said.splitlines()[-1] if said else "can't be made", reason=reason)
        if done.returncode != 0:
            log.error("export failed", returncode=done.returncode, stderr=said)
            raise RuntimeError(f"making an artifact ended with code {done.returncode}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    async def _register(self, record: ModelVersionRecord, made: Artifact, source: Path) -> Artifact:
        held = await self._store.read(datasets.get, names.Dataset.parse(record.dataset))
        data = {"dataset": record.dataset, "sha256": held.sha256 if held is not None else ""}
        signed = made.changed(proof=self._signer.proof(made, job=record.job, data=data))
        async with self._content.guard:
            await asyncio.to_thread(self._content.ingest, source, made.sha256, made.size_bytes)
            await self._store.write(models.add_artifact, record.number, signed)
        log.info("artifact made later", version=str(record.name), artifact=signed.id)
        return signed
