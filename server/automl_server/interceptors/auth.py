"""Bearer tokens: who may call at all, and which projects a token opens.

Every method but health's is behind this. The answer to a project that isn't the token's is the same whether or not the thing
exists. Tokens are compared as SHA-256 digests in constant time, all of them on each call.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from automl_server import errors
from automl_server import resource_names as names
from automl_server.interceptors.around import Continuation, around

ALL_PROJECTS = "*"
_OPEN_METHODS = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List")
_NAMING_FIELDS = ("name", "parent")


@dataclass(frozen=True)
class Grant:
    """What one token allows."""

    sha256: bytes
    projects: frozenset[str]
    expires: float | None = None
    """Seconds since 1970; None: never."""

    @classmethod
    def of_token(cls, token: str) -> Grant:
        """All projects, for ever."""
        return cls(_digest(token), frozenset({ALL_PROJECTS}))


def read_grants(path: Path) -> list[Grant]:
    """The grants of a token file (see `Settings.token_file`). Raises `CannotStart` that says what is wrong with it."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        grants = [
            Grant(bytes.fromhex(entry["sha256"]), frozenset(entry["projects"]), _moment(entry.get("expires")))
            for entry in entries
        ]
    except OSError as error:
        raise errors.CannotStart(f"The token file {path} can't be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.CannotStart(
            f'The token file {path} isn\'t a JSON list of {{"sha256", "projects", "expires"}}: {error!r}.'
        ) from error
    if not grants or any(len(grant.sha256) != 32 for grant in grants):
        raise errors.CannotStart(f"The token file {path} needs at least one entry, each with a SHA-256 of 64 digits.")
    return grants


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone (2027-01-31T00:00:00Z)")
    return moment.timestamp()


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """`clock` gives seconds since 1970."""

    def __init__(self, grants: list[Grant], clock: Any):
        self._grants = grants
        self._clock = clock

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None or details.method in _OPEN_METHODS:
            return handler
        grant = self._grant(details.invocation_metadata)

        @contextlib.asynccontextmanager
        async def guard(context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
            if grant is None:
                raise errors.Unauthenticated("A valid token is needed, as the metadata `authorization: Bearer …`.")
            yield

        def check(request: Any, context: grpc.aio.ServicerContext) -> None:
            assert grant is not None
            _check_projects(request, grant)

        return around(handler, guard, check)

    def _grant(self, metadata: Any) -> Grant | None:
        given = [value for key, value in metadata or () if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith("Bearer "):
            return None
        digest, found = _digest(given[0].removeprefix("Bearer ")), None
        for grant in self._grants:  # to the end, so that the time tells nothing
            if hmac.compare_digest(grant.sha256, digest):
                found = grant
        return found if found is not None and (found.expires is None or self._clock() < found.expires) else None


def _check_projects(request: Any, grant: Grant) -> None:
    if ALL_PROJECTS in grant.projects:
        return
    for field in _NAMING_FIELDS:
        if field not in request.DESCRIPTOR.fields_by_name:
            continue
        text = getattr(request, field)
        project = names.project_of(text) if text else names.DEFAULT_PROJECT if field == "parent" else None
        # A text that is no name is left to the service, which says what was expected.
        if project is not None and project not in grant.projects:
            raise errors.PermissionDenied("This token doesn't open that project.")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
