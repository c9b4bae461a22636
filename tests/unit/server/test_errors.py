"""Errors become statuses: the right code, reason and details, within what a peer accepts, and no secret of the machine."""

from __future__ import annotations

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2

from automl.spec import Infeasible, InvalidData, InvalidInput, Unavailable, Violation
from automl_server import errors
from automl_server.interceptors.errors import status_of

REFUSALS = [
    c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.Refusal) and c is not errors.Refusal
]


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_has_its_code_and_reason(kind: type[errors.Refusal]) -> None:
    status = status_of(kind("why"))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, info.reason, info.domain) == (kind.code.value[0], kind.reason, "automl")
    assert kind.code not in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.OK)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (InvalidInput.at("a", "b"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
        (InvalidData.at("a", "b"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_DATA"),
        (Infeasible("nothing that small"), grpc.StatusCode.FAILED_PRECONDITION, "INFEASIBLE"),
        (Unavailable("no such package"), grpc.StatusCode.FAILED_PRECONDITION, "UNAVAILABLE"),
    ],
)
def test_the_engines_errors_have_codes(error: Exception, code: grpc.StatusCode, reason: str) -> None:
    status = status_of(error)
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (status.code, info.reason) == (code.value[0], reason)


def test_the_unexpected_tells_an_id_alone() -> None:
    status = status_of(FileNotFoundError(2, "No such file", "/home/somebody/secret"))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in str(status)
    assert status_of(ValueError()).message != status.message


def test_details_stay_below_what_peers_accept() -> None:
    """8 KiB is grpc's soft limit for all metadata of a call; the message travels twice, once percent-encoded (3 bytes for
    one)."""
    status = status_of(InvalidInput([Violation(field="f" * 1000, message="ü" * 5000, reason="X") for _ in range(10_000)]))
    assert len(status.SerializeToString()) < 7000
    bad = error_details_pb2.BadRequest()
    status.details[1].Unpack(bad)
    assert bad.field_violations[-1].description == f"… and {10_000 - len(bad.field_violations) + 1} more"


def test_a_busy_server_says_when_to_come_back() -> None:
    retry = error_details_pb2.RetryInfo()
    assert status_of(errors.Busy("later", retry_after_s=1.5)).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 1500
