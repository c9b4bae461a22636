"""Resource names: parsed and printed here, and nowhere else.

People write ids ("j-20261120-1"), the wire wants names ("projects/default/jobs/j-20261120-1"). Both are taken everywhere.
"""

from __future__ import annotations

import re

from automl_client import errors

DEFAULT_PROJECT = "default"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(@[0-9a-f]{6,64})?\Z")


def project(name: str) -> str:
    """The name of a project, from its id."""
    return f"projects/{_checked('project', name, _ID)}"


def job(project_id: str, id_or_name: str) -> str:
    return _resource(project_id, "jobs", "job", id_or_name, _ID)


def dataset(project_id: str, id_or_name: str) -> str:
    """With or without @version."""
    return _resource(project_id, "datasets", "data set", id_or_name, _VERSION)


def model_version(project_id: str, id_or_name: str) -> str:
    """From "MODEL", "MODEL/VERSION" or a whole name; without a version it is the latest."""
    if id_or_name.startswith("projects/"):
        return id_or_name if "/versions/" in id_or_name else f"{id_or_name}/versions/latest"
    model, _, version = id_or_name.partition("/")
    model = _checked("model", model, _ID)
    return f"{project(project_id)}/models/{model}/versions/{_checked('version', version or 'latest', _ID)}"


def short(name: str) -> str:
    """The id in a name: what people read and write."""
    return name.rpartition("/")[2]


def short_version(name: str) -> str:
    """ "MODEL/VERSION" of a model version's name."""
    parts = name.split("/")
    return f"{parts[3]}/{parts[5]}" if len(parts) == 6 else name


def _resource(project_id: str, collection: str, what: str, id_or_name: str, pattern: re.Pattern[str]) -> str:
    if id_or_name.startswith("projects/"):
        return id_or_name
    return f"{project(project_id)}/{collection}/{_checked(what, id_or_name, pattern)}"


def _checked(what: str, text: str, pattern: re.Pattern[str]) -> str:
    """The text, when it can be an id. Raises `InvalidInput`, so that a typing error doesn't come back as "not found"."""
    if not pattern.match(text):
        raise errors.InvalidInput.at(
            what, f"{text!r} can't be the id of a {what}: letters, digits, dots, dashes and underscores are allowed."
        )
    return text
