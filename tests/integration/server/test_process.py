"""The server as a process: starting, refusing to start, stopping, idling, and how much it takes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import stat
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.integration.server.harness import Refused, Wire, chunks, connected, eventually, served
from tests.integration.server.process import started


def refusal(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and last line of a server that doesn't start."""
    with started(folder, *arguments, **environment) as server:
        return server.wait(), server.lines[-1]


async def test_a_server_says_where_it_is_and_is_small(folder: Path) -> None:
    ready = folder / "ready"
    with started(folder, "--listen", "127.0.0.1:0", "--ready-file", str(ready), "--metrics-port", "0") as server:
        address = server.serving()
        port = server.until("metrics")["port"]
        async with connected(address) as channel:
            wire = Wire(channel)
            await wire.run("trials=50")
        assert json.loads(ready.read_text()) == {"address": address, "pid": server.process.pid, "version": _version()}
        assert not address.endswith(":0")
        process = psutil.Process(server.process.pid)
        assert process.memory_info().rss < 150 << 20
        mapped = {Path(m.path).name for m in process.memory_maps()}
        assert not {name for name in mapped if "tensorflow" in name or "pandas" in name or "sklearn" in name}
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            metrics = answer.read().decode()
        assert 'automl_calls_total{code="OK",method="/automl.v1.JobService/CreateJob"} 1.0' in metrics
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not ready.exists()
        records = [json.loads(line) for line in server.lines]
        assert all(record["level"] in ("info", "warning") for record in records), "one record, one line of JSON"


def _version() -> str:
    import automl

    return automl.__version__


async def test_sigterm_ends_watchers_and_controllers(folder: Path) -> None:
    with started(folder) as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            job = await wire.create_job("hold")
            await wire.until(job.name, "sampler-state")
            [controller] = [
                c for c in psutil.Process(server.process.pid).children() if "fake_controller" in " ".join(c.cmdline())
            ]
            server.process.send_signal(signal.SIGTERM)
            assert server.wait() == 0
            assert not controller.is_running()


def test_files_and_socket_are_the_owners_alone(folder: Path) -> None:
    with started(folder, "--listen", f"unix:{folder}/deep/er/s", "--ready-file", f"{folder}/r") as server:
        server.serving()
        assert stat.S_IMODE((folder / "deep" / "er" / "s").stat().st_mode) == 0o600
        for inner in ("deep/er", "data", "data/content", "data/uploads", "data/jobs"):
            assert stat.S_IMODE((folder / inner).stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "data" / "store.sqlite3").stat().st_mode) == 0o600


def test_an_idle_server_exits(folder: Path) -> None:
    with started(folder, "--idle-exit", "0.2", "--ready-file", f"{folder}/r") as server:
        server.serving()
        assert server.wait() == 0
        assert not (folder / "r").exists()
        assert not (folder / "s").exists()


async def test_a_server_with_a_job_or_a_call_is_not_idle(folder: Path) -> None:
    async with served(folder) as server:
        job = await server.create_job("hold")
        await server.until(job.name, "sampler-state")
        idle = asyncio.create_task(server.app.until_idle(0.05))
        assert not (await asyncio.wait({idle}, timeout=0.3))[0]
        await server.cancel(job.name)
        async with asyncio.timeout(10):
            await idle
        upload = await server.create_upload(b"some bytes")
        stream = server.datasets.WriteUpload()
        await stream.write(chunks(upload.name, b"some")[0])
        idle = asyncio.create_task(server.app.until_idle(0.05))
        await eventually(lambda: server.app._activity._open)
        assert not (await asyncio.wait({idle}, timeout=0.3))[0]
        stream.cancel()
        async with asyncio.timeout(10):
            await idle


def test_two_servers_never_share_a_folder(folder: Path) -> None:
    with started(folder) as server:
        server.serving()
        code, line = refusal(folder, "--listen", "127.0.0.1:0")
        assert code == 3
        assert "Another server uses the data folder" in line


def test_an_address_that_is_taken_is_said(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, line = refusal(folder, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (code, "Can't listen on 127.0.0.1" in line) == (2, True)
    with started(folder) as server:
        server.serving()
        code, line = refusal(folder / "other", "--listen", f"unix:{folder}/s")
        assert (code, "Another server listens on" in line) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--listen", "0.0.0.0:0"), "can be reached from other machines"),
        (("--listen", "nonsense"), "expected unix:PATH or HOST:PORT"),
        (("--listen", "unix:/" + "x" * 200), "bytes; the system allows 107"),
        (("--tls-key", "/nowhere"), "TLS needs both"),
        (("--slots", "0"), "slots"),
        (("--token-file", "/nowhere"), "can't be read"),
    ],
)
def test_wrong_options_are_refused(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    code, line = refusal(folder, *arguments)
    assert (code, said in line) == (2, True), line


def test_tokens_alone_do_not_make_an_open_address_safe(folder: Path) -> None:
    code, line = refusal(folder, "--listen", "0.0.0.0:0", AUTOML_TOKEN="s3cret")
    assert (code, "and TLS" in line or "TLS (" in line) == (2, True)
    assert "s3cret" not in line
    with started(folder, "--listen", "0.0.0.0:0", "--insecure") as server:
        server.serving()


@pytest.mark.parametrize("damage", ["header", "page"])
def test_a_damaged_store_is_left_untouched(folder: Path, damage: str) -> None:
    with started(folder) as server:
        server.serving()
    store = folder / "data" / "store.sqlite3"
    data = bytearray(store.read_bytes())
    if damage == "header":
        data[:16] = b"x" * 16
    else:
        data[4096:8192] = b"\xff" * 4096
    store.write_bytes(data)
    code, line = refusal(folder)
    assert code == 2
    assert "is damaged" in line
    assert ".recover" in line
    assert store.read_bytes() == bytes(data)


def test_a_store_of_a_newer_server_is_refused(folder: Path) -> None:
    with started(folder) as server:
        server.serving()
    store = folder / "data" / "store.sqlite3"
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, line = refusal(folder)
    assert (code, "has the revision 9999" in line) == (2, True), line


async def test_a_locked_store_is_unavailable_and_comes_back(folder: Path) -> None:
    with started(folder, AUTOML_STORE_BUSY_S="0.2") as server:
        async with connected(server.serving()) as channel:
            wire = Wire(channel)
            dataset = await wire.dataset()
            lock = sqlite3.connect(folder / "data" / "store.sqlite3")
            lock.execute("BEGIN IMMEDIATE")
            with pytest.raises(Refused) as caught:
                await wire.create_upload(b"other", "other.csv")
            assert (caught.value.code.name, caught.value.reason) == ("UNAVAILABLE", "STORE_LOCKED")
            assert caught.value.retry_after_s
            lock.rollback()
            lock.close()
            assert await wire.create_upload(b"other", "other.csv")
            assert dataset.rows == 10
