"""Turns errors into statuses (AIP-193): the one place where that happens.

Every status has `ErrorInfo` with the domain "automl"; faults of fields have `BadRequest`; what is worth another try has
`RetryInfo`. What nobody expected is INTERNAL with an id; the log has the traceback under that id, the caller only the id.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog
from google.rpc import code_pb2, error_details_pb2, status_pb2

from automl.spec import Infeasible, InvalidData, InvalidInput, Unavailable
from automl_server.errors import Refusal
from automl_server.interceptors.around import Continuation, around

DOMAIN = "automl"
DETAILS_KEY = "grpc-status-details-bin"

_MAX_DETAILS_BYTES = 4096
_MAX_MESSAGE_CHARACTERS = 1000
"""Trailers of more than 8 KiB are refused by many peers, and then nothing of the error arrives. The message is sent twice,
once percent-encoded."""

log = structlog.get_logger(__name__)


class ErrorsInterceptor(grpc.aio.ServerInterceptor):
    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        return None if handler is None else around(handler, _translating(details.method))


def _translating(method: str) -> Any:
    @contextlib.asynccontextmanager
    async def guard(context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            status = status_of(error)
            if status.code == code_pb2.INTERNAL:
                log.exception("call failed", method=method, error_id=_error_id(status))
            await context.abort(
                next(code for code in grpc.StatusCode if code.value[0] == status.code),
                status.message,
                ((DETAILS_KEY, status.SerializeToString()),),
            )

    return guard


def status_of(error: Exception) -> status_pb2.Status:
    """The status of an error, with its details."""
    match error:
        case Refusal():
            code, reason, metadata = error.code, error.reason, error.metadata
            message = str(error)
        case InvalidInput():
            code, metadata = grpc.StatusCode.INVALID_ARGUMENT, {}
            reason = InvalidData.reason if isinstance(error, InvalidData) else InvalidInput.reason
            message = str(error)
        case Infeasible() | Unavailable():
            code, reason, metadata = grpc.StatusCode.FAILED_PRECONDITION, error.reason, {}
            message = str(error)
        case _:
            error_id = secrets.token_hex(8)
            code, reason, metadata = grpc.StatusCode.INTERNAL, "INTERNAL", {"error_id": error_id}
            message = f"A defect of the server. Its log has the details under the id {error_id}."
    status = status_pb2.Status(code=code.value[0], message=_shortened(message, _MAX_MESSAGE_CHARACTERS))
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata={k: v[:200] for k, v in metadata.items()})
    )
    if isinstance(error, InvalidInput):
        _add_violations(status, error)
    if isinstance(error, Refusal) and error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(1000 * error.retry_after_s))
        status.details.add().Pack(retry)
    return status


def _add_violations(status: status_pb2.Status, error: InvalidInput) -> None:
    """As many violations as fit; the last one says how many more there are."""
    details, size = error_details_pb2.BadRequest(), status.ByteSize()
    for position, violation in enumerate(error.violations):
        added = error_details_pb2.BadRequest.FieldViolation(
            field=_shortened(violation.field, 200),
            reason=violation.reason,
            description=_shortened(f"{violation.message} {violation.remedy}".strip(), 600),
        )
        if size + added.ByteSize() > _MAX_DETAILS_BYTES:
            rest = len(error.violations) - position
            details.field_violations.add(description=f"… and {rest} more", reason="MORE")
            break
        size += added.ByteSize() + 4
        details.field_violations.append(added)
    status.details.add().Pack(details)


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _error_id(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return info.metadata["error_id"]
