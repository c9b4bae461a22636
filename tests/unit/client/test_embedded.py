"""The user's own server: started once, found again, and said clearly when it can't be."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent import futures
from pathlib import Path

import pytest

from automl_client import client, embedded, errors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="embedded servers need Unix sockets")

FAKE = Path(__file__).with_name("fake_automl_server.py")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home whose server is the fake one in mode "good"; what was started is ended."""
    made = embedded.Place.of(tmp_path / "home")
    use(monkeypatch, tmp_path, "good")
    yield made
    for pid in started(tmp_path):
        try:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def use(monkeypatch, tmp_path, mode):
    def command(place):
        return [sys.executable, str(FAKE), str(place.socket), str(place.ready), mode, str(tmp_path / "starts")]

    monkeypatch.setattr(embedded, "command", command)


def started(tmp_path) -> list[int]:
    return [int(line) for line in (tmp_path / "starts").read_text().split()] if (tmp_path / "starts").exists() else []


def test_it_is_started_once_and_found_again(place, tmp_path):
    assert not embedded.is_running(place)
    assert embedded.ensure_running(place) == f"unix:{place.socket}"
    assert embedded.is_running(place)
    embedded.ensure_running(place)
    assert len(started(tmp_path)) == 1


def test_many_at_once_start_one(place, tmp_path):
    with futures.ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: embedded.ensure_running(place), range(8)))) == 1
    assert len(started(tmp_path)) == 1


def test_a_killed_one_is_replaced(place, tmp_path):
    embedded.ensure_running(place)
    (pid,) = started(tmp_path)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert place.ready.exists()
    embedded.ensure_running(place)
    assert json.loads(place.ready.read_text())["pid"] != pid


def test_it_belongs_to_no_terminal_and_takes_no_settings_of_another_server(place, monkeypatch):
    monkeypatch.setenv("AUTOML_TOKEN", "secret")
    monkeypatch.setenv("AUTOML_SERVER", "example.org:1")
    embedded.ensure_running(place)
    said = json.loads(place.ready.read_text())
    assert said["session"] == said["pid"]
    assert not {"AUTOML_TOKEN", "AUTOML_SERVER"} & set(said["environment"])


def test_a_server_that_dies_is_told_with_its_last_words(place, tmp_path, monkeypatch):
    use(monkeypatch, tmp_path, "dies")
    with pytest.raises(errors.Unavailable, match="ended with code 2") as caught:
        embedded.ensure_running(place)
    assert "the store is from a newer version" in str(caught.value)


def test_a_folder_that_another_server_uses_is_told(place, tmp_path, monkeypatch):
    use(monkeypatch, tmp_path, "in-use")
    with pytest.raises(errors.Unavailable, match="belongs to a server that runs already"):
        embedded.ensure_running(place)


def test_a_server_that_does_not_become_ready_is_stopped(place, tmp_path, monkeypatch):
    use(monkeypatch, tmp_path, "silent")
    with pytest.raises(errors.Unavailable, match="not become ready"):
        embedded.ensure_running(place, timeout_s=1.0)


def test_what_is_not_installed_is_named(place, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tensorflow" else object())
    with pytest.raises(errors.Unavailable, match=r"tensorflow is not installed.*automl\[server\]"):
        client.Client.embedded(home=place.home)


def test_a_home_that_can_not_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="AUTOML_HOME"):
        embedded.ensure_running(embedded.Place.of(tmp_path / "file" / "home"))


def test_a_long_home_gets_a_short_socket(tmp_path):
    short, long = embedded.Place.of(tmp_path / "h"), embedded.Place.of(Path("/") / ("x" * 120))
    assert short.socket.parent == short.home or len(os.fsencode(short.home)) > 85
    assert len(os.fsencode(long.socket)) <= 100
    assert long.socket != embedded.Place.of(Path("/") / ("y" * 120)).socket


def test_the_home_is_named_by_argument_then_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_HOME", str(tmp_path / "e"))
    assert embedded.Place.of().home == tmp_path / "e"
    assert embedded.Place.of(tmp_path / "a").home == tmp_path / "a"
    monkeypatch.delenv("AUTOML_HOME")
    assert embedded.Place.of().home.name == "automl"


def test_the_real_server_is_asked_for_what_it_knows(tmp_path):
    command = embedded.command(embedded.Place.of(tmp_path))
    from automl_server import __main__ as server

    given = server._parser().parse_args(command[3:])
    assert given.listen == f"unix:{tmp_path}/server.sock"
    assert float(given.idle_exit_s) == embedded.IDLE_EXIT_S
