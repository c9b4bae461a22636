"""Models: versions that jobs made, and artifacts whose bytes are checked at each read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from automl_client import proofs
from automl_protos.v1 import model_service_pb2 as pb
from tests.integration.server.harness import Refused, Served


async def version(server: Served, name: str) -> Any:
    return (await server.call(server.models.GetModelVersion, pb.GetModelVersionRequest(name=name))).model_version


async def test_jobs_of_one_name_make_versions_of_one_model(server: Served) -> None:
    first, second = await server.run("trials=1"), await server.run("trials=1")
    await server.run("trials=2")
    assert first.model_version == "projects/default/models/trials-1/versions/1"
    assert second.model_version == "projects/default/models/trials-1/versions/2"
    models = (await server.call(server.models.ListModels, pb.ListModelsRequest())).models
    assert [(m.name, m.versions, m.latest_version) for m in models] == [
        ("projects/default/models/trials-2", 1, "projects/default/models/trials-2/versions/1"),
        ("projects/default/models/trials-1", 2, second.model_version),
    ]
    latest = await version(server, "projects/default/models/trials-1/versions/latest")
    assert (latest.name, latest.job, latest.task) == (second.model_version, second.name, "tabular-classification")
    assert [a.name for a in latest.artifacts] == [f"{second.model_version}/artifacts/tflite-int8"]


async def test_models_come_in_pages(server: Served) -> None:
    for i in range(3):
        await server.run(f"trials={i}")
    page = await server.call(server.models.ListModels, pb.ListModelsRequest(page_size=2))
    rest = await server.call(server.models.ListModels, pb.ListModelsRequest(page_size=2, page_token=page.next_page_token))
    assert [m.name.rpartition("/")[2] for m in (*page.models, *rest.models)] == ["trials-2", "trials-1", "trials-0"]
    assert not rest.next_page_token


async def test_a_job_without_a_name_makes_a_model_named_after_data_and_target(server: Served) -> None:
    assert (await server.run()).model_version == "projects/default/models/adult-label/versions/1"


async def test_downloads_go_on_at_any_byte(server: Served) -> None:
    name = (await server.run()).model_version + "/artifacts/tflite-int8"
    data = await server.download(name)
    for offset in (1, 1 << 20, (1 << 20) + 1, len(data) - 1, len(data)):
        assert await server.download(name, offset) == data[offset:]
    with pytest.raises(Refused) as caught:
        await server.download(name, len(data) + 1)
    assert (caught.value.code, caught.value.metadata) == (grpc.StatusCode.OUT_OF_RANGE, {"size_bytes": str(len(data))})
    with pytest.raises(Refused) as caught:
        await server.download(name, -1)
    assert caught.value.reasons == {"offset": "OUT_OF_RANGE"}


async def _collect(stream: Any, sizes: list[int]) -> None:
    async for message in stream:
        sizes.append(len(message.data))


@pytest.mark.parametrize("damage", ["first", "last", "shorter", "gone"])
@pytest.mark.parametrize("offset", [0, 1 << 20])
async def test_a_file_that_was_changed_on_disk_is_never_received_whole(server: Served, damage: str, offset: int) -> None:
    found = await version(server, (await server.run()).model_version)
    [artifact] = found.artifacts
    path = server.data / "content" / artifact.sha256[:2] / artifact.sha256
    data = bytearray(path.read_bytes())
    path.chmod(0o600)
    match damage:
        case "first":
            data[0] ^= 1
        case "last":
            data[-1] ^= 1
        case "shorter":
            del data[-1]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data)
    received = []
    stream = server.models.DownloadArtifact(pb.DownloadArtifactRequest(name=artifact.name, offset=offset))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _collect(stream, received)
    assert caught.value.code() == grpc.StatusCode.DATA_LOSS
    assert sum(received) < artifact.size_bytes - offset
    assert str(server.data) not in caught.value.details()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "projects/default/models/m/versions/1/artifacts/../../x",
        "projects/default/models/m/versions/0/artifacts/a",
        "projects/default/models/m/versions/1/artifacts/%2e%2e",
        "/etc/passwd",
    ],
)
async def test_a_name_is_never_a_path(server: Served, name: str) -> None:
    with pytest.raises(Refused) as caught:
        await server.download(name)
    assert caught.value.reasons == {"name": "INVALID_NAME"}


async def test_what_is_not_there_is_not_found(server: Served) -> None:
    job = await server.run()
    for name in (
        "projects/default/models/none/versions/1",
        "projects/default/models/adult-label/versions/2",
        "projects/other/models/adult-label/versions/latest",
    ):
        with pytest.raises(Refused) as caught:
            await version(server, name)
        assert caught.value.code == grpc.StatusCode.NOT_FOUND
    with pytest.raises(Refused) as caught:
        await server.download(f"{job.model_version}/artifacts/none")
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    assert "tflite-int8" in caught.value.message


def export(name: str, **more: Any) -> pb.ExportArtifactRequest:
    return pb.ExportArtifactRequest(name=name, **{"format": "tflite", **more})


async def test_another_artifact_is_made_of_what_was_kept(server: Served) -> None:
    name = (await server.run("kit")).model_version
    made = (await server.call(server.models.ExportArtifact, export(name, precision="float16", tolerance=0.5))).artifact
    assert made.name == f"{name}/artifacts/tflite-float16"
    assert made.verification.tolerance == 0.5
    assert await server.download(made.name) == b"made of a model and some rows"
    there = await version(server, name)
    assert [a.precision for a in there.artifacts] == ["float16", "int8"]
    again = (await server.call(server.models.ExportArtifact, export(name, precision="float16"))).artifact
    assert again == made  # the one that is there


async def test_every_artifact_has_the_servers_signature(server: Served, tmp_path: Path) -> None:
    name = (await server.run("kit")).model_version
    await server.call(server.models.ExportArtifact, export(name))
    found = await version(server, name)
    keys = set()
    for artifact in found.artifacts:
        (tmp_path / "proof.json").write_text(artifact.proof_json)
        proof = proofs.read(tmp_path / "proof.json")
        assert proof.artifact_sha256 == artifact.sha256
        assert proof.statement["data"]["dataset"] == found.dataset
        assert proof.statement["verification"]["artifact_value"] == artifact.verification.artifact_value
        keys.add(proof.key)
    assert len(keys) == 1


async def test_limits_that_cannot_be_met_are_told(server: Served) -> None:
    name = (await server.run("kit")).model_version
    with pytest.raises(Refused, match="at most 5 B were asked for") as caught:
        await server.call(server.models.ExportArtifact, export(name, max_size_bytes=5))
    assert caught.value.reason == "INFEASIBLE"


@pytest.mark.parametrize(
    ("more", "field"),
    [({"format": "floppy"}, "format"), ({"precision": "int3"}, "precision"), ({"max_size_bytes": -1}, "max_size_bytes")],
)
async def test_a_format_that_there_is_not_is_refused(server: Served, more: dict[str, Any], field: str) -> None:
    name = (await server.run("kit")).model_version
    with pytest.raises(Refused) as caught:
        await server.call(server.models.ExportArtifact, export(name, **more))
    assert list(caught.value.violations) == [field]


async def test_what_was_kept_can_be_deleted(server: Served) -> None:
    name = (await server.run("kit")).model_version
    await server.call(server.models.DeleteModelKit, pb.DeleteModelKitRequest(name=name))
    with pytest.raises(Refused) as caught:
        await server.call(server.models.ExportArtifact, export(name))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "KIT_MISSING")
    with pytest.raises(Refused) as caught:
        await server.call(server.models.DeleteModelKit, pb.DeleteModelKitRequest(name=name))
    assert caught.value.code == grpc.StatusCode.NOT_FOUND
    assert await server.download(f"{name}/artifacts/tflite-int8")
