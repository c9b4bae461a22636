"""Models' kits: what a job leaves so that another artifact can be made of its model later. One file for each version, below
the data folder; whoever deletes it deletes the rows of data in it, and the version keeps the artifacts that it has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from automl_server import files
from automl_server import resource_names as names

FILENAME = "model.kit.zip"
"""In the folder of a job's artifacts, as the engine writes it."""


class Kits:
    """All methods block: call them from a thread."""

    def __init__(self, folder: Path):
        self._folder = files.make_folder(folder)

    def path(self, version: names.ModelVersion) -> Path:
        return self._folder / version.project / version.model / f"{version.version}.zip"

    def has(self, version: names.ModelVersion) -> bool:
        return self.path(version).is_file()

    def keep(self, source: Path, version: names.ModelVersion) -> bool:
        """Copies a kit that a controller wrote; False when it wrote none. Raises `OSError` for a full disk."""
        if not source.is_file() or source.is_symlink():
            return False
        target = self.path(version)
        files.make_folder(target.parent.parent)
        files.make_folder(target.parent)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(source, temporary)
            os.chmod(temporary, 0o600)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        files.sync_folder(target.parent)
        return True

    def remove(self, version: names.ModelVersion) -> bool:
        """Removes a version's kit; False when there is none."""
        try:
            self.path(version).unlink()
        except FileNotFoundError:
            return False
        return True
