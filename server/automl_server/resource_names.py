"""Names of resources, parsed and printed here and nowhere else.

projects/{project}
projects/{project}/uploads/{upload}
projects/{project}/datasets/{dataset}[@{version}]        version: first 16 digits of the content's SHA-256
projects/{project}/jobs/{job}
projects/{project}/jobs/{job}/trials/{trial}
projects/{project}/models/{model}
projects/{project}/models/{model}/versions/{version}     version: 1, 2, … or "latest"
projects/{project}/models/{model}/versions/{version}/artifacts/{artifact}
"""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Self

from automl.spec import InvalidInput

DEFAULT_PROJECT = "default"
LATEST = "latest"

_ID = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FREE = r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?"
_PROJECT = rf"projects/(?P<project>{_ID})"
_ID_RULE = "lower-case letters, digits and hyphens, 1 to 63 characters, no hyphen at either end"


@dataclasses.dataclass(frozen=True)
class Name:
    """Base of all names: `parse` reads one, `str` prints it."""

    template: ClassVar[str]
    pattern: ClassVar[re.Pattern[str]]

    @classmethod
    def parse(cls, text: str, field: str = "name") -> Self:
        """The name, or `InvalidInput` at `field` that says what was expected. The text is quoted shortened and escaped."""
        match = cls.pattern.fullmatch(text) if len(text) <= 1024 else None
        if match is None:
            got = repr(text[:80] + ("…" if len(text) > 80 else ""))
            raise InvalidInput.at(field, f"expected {cls.template}, got {got}", f"Ids are {_ID_RULE}.", "INVALID_NAME")
        return cls(**match.groupdict())


@dataclasses.dataclass(frozen=True)
class Project(Name):
    template = "projects/{project}"
    pattern = re.compile(_PROJECT)

    project: str = DEFAULT_PROJECT

    @classmethod
    def parent(cls, text: str, field: str = "parent") -> Project:
        """As `parse`; an empty text is the default project."""
        return cls.parse(text, field) if text else cls()

    def __str__(self) -> str:
        return f"projects/{self.project}"


@dataclasses.dataclass(frozen=True)
class Upload(Name):
    template = "projects/{project}/uploads/{upload}"
    pattern = re.compile(rf"{_PROJECT}/uploads/(?P<upload>{_ID})")

    project: str
    upload: str

    def __str__(self) -> str:
        return f"projects/{self.project}/uploads/{self.upload}"


@dataclasses.dataclass(frozen=True)
class Dataset(Name):
    """A version with `@`; without, whichever is newest (`version` None)."""

    template = "projects/{project}/datasets/{dataset}@{version}"
    pattern = re.compile(rf"{_PROJECT}/datasets/(?P<dataset>{_ID})(?:@(?P<version>[0-9a-f]{{16}}))?")

    project: str
    dataset: str
    version: str | None = None

    def __str__(self) -> str:
        return f"projects/{self.project}/datasets/{self.dataset}" + (f"@{self.version}" if self.version else "")


@dataclasses.dataclass(frozen=True)
class Job(Name):
    template = "projects/{project}/jobs/{job}"
    pattern = re.compile(rf"{_PROJECT}/jobs/(?P<job>{_ID})")

    project: str
    job: str

    def __str__(self) -> str:
        return f"projects/{self.project}/jobs/{self.job}"

    def trial(self, trial: str) -> str:
        """Name of one of its trials."""
        return f"{self}/trials/{trial}"


@dataclasses.dataclass(frozen=True)
class Model(Name):
    template = "projects/{project}/models/{model}"
    pattern = re.compile(rf"{_PROJECT}/models/(?P<model>{_ID})")

    project: str
    model: str

    def __str__(self) -> str:
        return f"projects/{self.project}/models/{self.model}"


@dataclasses.dataclass(frozen=True)
class ModelVersion(Name):
    """`version` is the decimal number, or "latest"."""

    template = "projects/{project}/models/{model}/versions/{version}"
    pattern = re.compile(rf"{_PROJECT}/models/(?P<model>{_ID})/versions/(?P<version>[1-9][0-9]{{0,8}}|latest)")

    project: str
    model: str
    version: str

    @property
    def number(self) -> int | None:
        """None for the latest."""
        return None if self.version == LATEST else int(self.version)

    def __str__(self) -> str:
        return f"projects/{self.project}/models/{self.model}/versions/{self.version}"


@dataclasses.dataclass(frozen=True)
class Artifact(Name):
    template = "projects/{project}/models/{model}/versions/{version}/artifacts/{artifact}"
    pattern = re.compile(rf"{ModelVersion.pattern.pattern}/artifacts/(?P<artifact>{_FREE})")

    project: str
    model: str
    version: str
    artifact: str

    @property
    def model_version(self) -> ModelVersion:
        return ModelVersion(self.project, self.model, self.version)

    def __str__(self) -> str:
        return f"{self.model_version}/artifacts/{self.artifact}"


def is_id(text: str) -> bool:
    """Whether a text may stand as an id in a name."""
    return re.fullmatch(_ID, text) is not None


def check_id(text: str, field: str) -> str:
    """The text, or `InvalidInput` at `field`."""
    if not is_id(text):
        raise InvalidInput.at(field, f"expected {_ID_RULE}, got {text[:80]!r}", reason="INVALID_ID")
    return text


def slug(text: str, otherwise: str) -> str:
    """An id made from a text for people ("Adult income.csv" → "adult-income-csv"); `otherwise` when nothing of it can be
    kept."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return made or otherwise


def project_of(text: str) -> str | None:
    """The project in any resource's name, None when the text is no such name (access is decided by this)."""
    match = re.match(_PROJECT + r"(?:/|$)", text)
    return match["project"] if match else None
