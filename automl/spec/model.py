"""The base of every type that is stored or sent: frozen, closed, with one canonical JSON form.

Closed means that an unknown field is an error (a misspelt option must not be ignored); frozen means that a value
can be shared between threads and used as a key. The canonical JSON (sorted keys, no blanks, UTF-8) of a value is the
same on every machine, so that its SHA-256 can serve as an identity.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Self

import pydantic

Json = Any
"""A value that ``json.dumps`` takes: None, bool, int, float, str, or lists and string-keyed dicts of these."""


class Frozen(pydantic.BaseModel):
    """An immutable value that refuses unknown fields, NaN and infinities."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    def to_dict(self) -> dict[str, Json]:
        """The value as plain JSON types."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: dict[str, Json]) -> Self:
        """The value that `to_dict` wrote. Raises `pydantic.ValidationError` with every fault at once."""
        return cls.model_validate(data)

    def changed(self, **fields: Any) -> Self:
        """A copy with some fields replaced, validated again."""
        return type(self).model_validate({**self.model_dump(), **fields})


def canonical(value: Json) -> bytes:
    """JSON with sorted keys and no blanks, as UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Json) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
