"""Who may call: every method but health's needs a token where there are any, and a token opens its projects alone."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from automl_protos.v1 import catalog_service_pb2, dataset_service_pb2, job_service_pb2, model_service_pb2
from automl_server import app
from tests.integration.server.harness import Refused, Served, served

FILES = (catalog_service_pb2, dataset_service_pb2, job_service_pb2, model_service_pb2)
METHODS = [m for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for m in service.methods]
IDS = [m.full_name for m in METHODS]
MINE, ALL, OLD = "mine-token", "all-token", "old-token"


@pytest.fixture
async def guarded(folder: Path) -> AsyncIterator[Served]:
    tokens = folder / "tokens.json"
    past = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)).isoformat()
    tokens.write_text(
        json.dumps(
            [
                {
                    "sha256": hashlib.sha256(MINE.encode()).hexdigest(),
                    "projects": ["mine"],
                    "expires": "2999-01-01T00:00:00Z",
                },
                {"sha256": hashlib.sha256(OLD.encode()).hexdigest(), "projects": ["*"], "expires": past},
            ]
        )
    )
    async with served(folder, token_file=tokens, token=ALL) as running:
        yield running


async def code_of(server: Served, method: Any, request: Any = None, **options: Any) -> tuple[grpc.StatusCode, str]:
    """The status of a method, called as its descriptor says."""
    request = request or message_factory.GetMessageClass(method.input_type)()
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(server.channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )(iter([request]) if method.client_streaming else request, timeout=30, **options)
    try:
        if method.server_streaming:
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        refused = Refused(error)
        return refused.code, refused.message
    return grpc.StatusCode.OK, ""


def bearer(token: str) -> dict[str, Any]:
    return {"metadata": (("authorization", f"Bearer {token}"),)}


@pytest.mark.parametrize("method", METHODS, ids=IDS)
async def test_every_method_needs_a_valid_token(guarded: Served, method: Any) -> None:
    wrong: list[dict[str, Any]] = [
        {},
        bearer("wrong"),
        bearer(OLD),
        bearer(""),
        {"metadata": (("authorization", f"Basic {ALL}"),)},
        {"metadata": (("authorization", f"Bearer {ALL}"), ("authorization", "Bearer wrong"))},
    ]
    said = {await code_of(guarded, method, **options) for options in wrong}
    assert said == {(grpc.StatusCode.UNAUTHENTICATED, "A valid token is needed, as the metadata `authorization: Bearer …`.")}
    code, _ = await code_of(guarded, method, **bearer(ALL))
    assert code not in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.parametrize(
    "method", [m for m in METHODS if {"name", "parent"} & set(m.input_type.fields_by_name)], ids=lambda m: m.full_name
)
async def test_another_project_is_closed_whether_or_not_the_thing_exists(guarded: Served, method: Any) -> None:
    make = message_factory.GetMessageClass(method.input_type)
    field = "name" if "name" in method.input_type.fields_by_name else "parent"
    dataset = await _dataset(guarded)
    said = {
        await code_of(guarded, method, make(**{field: name}), **bearer(MINE))
        for name in (
            "projects/default/jobs/none",
            dataset,
            "projects/theirs/models/m/versions/1/artifacts/a",
            "projects/default",
        )
    }
    assert said == {(grpc.StatusCode.PERMISSION_DENIED, "This token doesn't open that project.")}
    code, _ = await code_of(guarded, method, make(**{field: "projects/mine"}), **bearer(MINE))
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)


async def _dataset(server: Served) -> str:
    from tests.integration.server import harness

    async with harness.connected(server.address) as channel:
        wire = harness.Wire(channel)
        original = wire.call

        async def with_token(method: Any, request: Any, **options: Any) -> Any:
            return await original(method, request, **options, **bearer(ALL))

        wire.call = with_token  # type: ignore[method-assign]
        return str((await wire.dataset()).name)


async def test_no_parent_is_the_default_project(guarded: Served) -> None:
    [method] = [m for m in METHODS if m.name == "ListJobs"]
    assert (await code_of(guarded, method, **bearer(MINE)))[0] == grpc.StatusCode.PERMISSION_DENIED
    assert (await code_of(guarded, method, **bearer(ALL)))[0] == grpc.StatusCode.OK


async def test_health_is_open_and_tells_every_service(guarded: Served) -> None:
    stub = health_pb2_grpc.HealthStub(guarded.channel)
    for service in ("", *app.SERVICES):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    await guarded.app.stop()
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Check(health_pb2.HealthCheckRequest())


async def test_reflection_names_every_service_and_needs_a_token(guarded: Served) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(guarded.channel)
    ask = [reflection_pb2.ServerReflectionRequest(list_services="")]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [message async for message in stub.ServerReflectionInfo(iter(ask))]
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    [answer] = [message async for message in stub.ServerReflectionInfo(iter(ask), **bearer(ALL))]
    assert {s.name for s in answer.list_services_response.service} >= {*app.SERVICES, "grpc.health.v1.Health"}
