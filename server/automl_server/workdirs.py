"""The folders of jobs: `jobs/<project>/<job>/` with the controller's `work/`, its log, and who it is.

What the controller writes stays in `work/`, which is removed when the job has ended; the report is moved beside it.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path

import psutil
import structlog

from automl_server import files, processes
from automl_server import resource_names as names

log = structlog.get_logger(__name__)


class Workdirs:
    """All methods block: call them from a thread."""

    def __init__(self, folder: Path):
        self._folder = files.make_folder(folder)

    def _of(self, job: names.Job) -> Path:
        return self._folder / job.project / job.job

    def work(self, job: names.Job) -> Path:
        """The controller's folder, created if need be."""
        return files.make_folder(files.make_folder(self._of(job)) / "work")

    def log(self, job: names.Job) -> Path:
        return self._of(job) / "controller.log"

    def artifact(self, job: names.Job, filename: str) -> Path | None:
        """Where the controller put a file; None for a name that isn't a plain file name."""
        plain = filename not in ("", ".", "..") and not set(filename) & {"/", "\\", "\0"}
        return self._of(job) / "work" / "artifacts" / filename if plain else None

    def report(self, job: names.Job, limit: int) -> bytes | None:
        """Up to `limit` bytes of the report that the controller wrote, None when there is none."""
        for path in (self._of(job) / "report.html", self._of(job) / "work" / "report.html"):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                continue
            with open(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    return file.read(limit)
        return None

    def remember_controller(self, job: names.Job, pid: int) -> None:
        """Notes which process works on the job, so that a server that comes after this one can end it."""
        try:
            started = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        files.write(self._of(job) / "controller.json", json.dumps({"pid": pid, "started": started}).encode())

    def end_leftover(self, job: names.Job) -> None:
        """Kills the controller of a server that was killed, if it still lives: two must never work in one folder."""
        note = self._of(job) / "controller.json"
        try:
            said = json.loads(note.read_bytes())
            process = psutil.Process(said["pid"])
            same = abs(process.create_time() - said["started"]) < 1.0
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        if same:
            log.info("ending a leftover controller", job=str(job), pid=said["pid"])
            processes.kill_tree(said["pid"])
            deadline = time.monotonic() + 5
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.01)  # it isn't our child, so there is nothing to wait on
        note.unlink(missing_ok=True)

    def close(self, job: names.Job, *, keep: bool) -> None:
        """Keeps the report and removes the rest of what the controller wrote (unless `keep`)."""
        folder = self._of(job)
        work = folder / "work"
        report = work / "report.html"
        if report.is_file() and not report.is_symlink():
            os.replace(report, folder / "report.html")
        (folder / "controller.json").unlink(missing_ok=True)
        if not keep and work.is_dir():
            shutil.rmtree(work)
