"""Names, addresses, retries, quantities, errors: the parts without a connection."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_client import client, converters, endpoint, errors, names, retry, types
from automl_client.cli import quantities

# --- names ---


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (names.job("default", "j1"), "projects/default/jobs/j1"),
        (names.job("p", "projects/q/jobs/j1"), "projects/q/jobs/j1"),
        (names.dataset("default", "iris@0123456789abcdef"), "projects/default/datasets/iris@0123456789abcdef"),
        (names.model_version("default", "m"), "projects/default/models/m/versions/latest"),
        (names.model_version("default", "m/3"), "projects/default/models/m/versions/3"),
        (names.model_version("p", "projects/q/models/m"), "projects/q/models/m/versions/latest"),
        (names.short("projects/p/jobs/j1"), "j1"),
        (names.short_version("projects/p/models/m/versions/2"), "m/2"),
    ],
)
def test_ids_become_names(made, expected):
    assert made == expected


@pytest.mark.parametrize("text", ["", "../x", "a b", "x\n", "a/b/c", "-"])
def test_what_is_no_id_is_refused_here(text):
    with pytest.raises(errors.InvalidInput, match="can't be the id"):
        names.job("default", text)


# --- addresses ---


@pytest.mark.parametrize("target", ["localhost:1", "127.0.0.1:50051", "[::1]:80", "unix:/tmp/s", "db.example.org:443"])
def test_addresses(target):
    assert endpoint.Endpoint(target).target == target


@pytest.mark.parametrize("target", ["", "localhost", "http://x:y", ":80", "host:0", "host:99999", "host:port"])
def test_what_is_no_address_is_refused(target):
    with pytest.raises(errors.InvalidInput, match="HOST:PORT"):
        endpoint.Endpoint(target)


def test_a_token_does_not_travel_in_the_clear():
    with pytest.raises(errors.InvalidInput, match="unencrypted"):
        endpoint.Endpoint("db.example.org:443", token="secret")
    for target, tls in (("db.example.org:443", endpoint.Tls()), ("localhost:80", None), ("unix:/tmp/s", None)):
        assert endpoint.Endpoint(target, "secret", tls).metadata == (("authorization", "Bearer secret"),)


def test_a_certificate_that_is_not_there_is_named(tmp_path):
    with pytest.raises(errors.InvalidInput, match=r"nowhere\.pem"):
        client.Client("localhost:1", tls=endpoint.Tls(tmp_path / "nowhere.pem"))


# --- retries ---


def lost() -> errors.Unavailable:
    error = errors.Unavailable("gone")
    error.transient = True
    return error


def test_pauses_grow_to_the_longest_and_end_at_the_limit():
    now = [0.0]
    attempts = retry.Attempts(
        retry.RetryPolicy(first_s=1.0, factor=2.0, longest_s=4.0, give_up_s=20.0), clock=lambda: now[0], jitter=lambda: 1.0
    )
    for pause in (1.0, 2.0, 4.0, 4.0, 4.0, 4.0):
        assert attempts.pause_after(lost()) == pause
        now[0] += pause
    with pytest.raises(errors.Unavailable):
        attempts.pause_after(lost())


def test_progress_starts_the_count_again():
    now = [0.0]
    attempts = retry.Attempts(retry.RetryPolicy(give_up_s=1.0), clock=lambda: now[0], jitter=lambda: 0.0)
    for _ in range(10):
        now[0] += 5.0
        assert attempts.pause_after(lost()) == 0.05
        attempts.progressed()


def test_a_first_contact_gives_up_sooner():
    now = [0.0]
    attempts = retry.Attempts(retry.RetryPolicy(), connected=False, clock=lambda: now[0])
    attempts.pause_after(lost())
    now[0] = 4.0
    with pytest.raises(errors.Unavailable):
        attempts.pause_after(lost())


@pytest.mark.parametrize(
    "error", [errors.NotFound("x"), errors.DeadlineExceeded("x"), errors.Unavailable("no pyarrow"), errors.Internal("x")]
)
def test_only_a_lost_connection_is_tried_again(error):
    with pytest.raises(type(error)):
        retry.Attempts(retry.RetryPolicy()).pause_after(error)


# --- errors ---


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidInput, 2),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound, 2),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists, 2),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition, 2),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated, 2),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied, 2),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted, 1),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded, 1),
        (grpc.StatusCode.DATA_LOSS, errors.DataLoss, 1),
        (grpc.StatusCode.CANCELLED, errors.Cancelled, 1),
        (grpc.StatusCode.UNKNOWN, errors.Internal, 1),
    ],
)
def test_a_status_without_details_becomes_its_error(code, kind, exit_code):
    made = converters.error(code, "what happened", ())
    assert type(made) is kind
    assert made.exit_code == exit_code
    assert str(made) == "what happened"


def test_an_empty_status_still_says_something():
    assert "INTERNAL" in str(converters.error(grpc.StatusCode.INTERNAL, "", None))


def test_every_reason_has_one_class():
    assert len(errors.BY_REASON) == len({kind.reason for kind in errors.BY_REASON.values()})
    assert all(reason == reason.upper() for reason in errors.BY_REASON)


# --- specifications ---


def test_a_specification_survives_the_wire():
    spec = types.JobSpec(
        dataset="projects/p/datasets/d@1",
        task="t",
        test_dataset="x",
        metric="m",
        tolerance=0.02,
        display_name="n",
        data=types.DataSettings("y", "s", "g", {"a": types.ColumnKind.TEXT}, ("b",), 0.2, "d"),
        constraints=types.Constraints(10, 1.5, 100),
        budget=types.Budget(12.25, 0.5, 3),
        search=types.SearchSettings("tpe", ("a",), ("b",), ("c",), 5, ("{}",), {"dropout.rate": "0.3"}),
        formats=(types.Format("tflite", "int8"),),
    )
    assert converters.job_spec(converters.job_spec_to_proto(spec)) == spec


def test_every_field_of_a_specification_is_sent():
    fields = {one.name for one in dataclasses.fields(types.JobSpec)}
    assert fields == set(converters.job_spec_to_proto(types.JobSpec("d")).DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(("text", "shown"), [("tflite", "tflite:float32"), ("tflite:int8",) * 2, ("saved-model",) * 2])
def test_formats_are_written_as_people_write_them(text, shown):
    assert str(types.Format.parse(text)) == shown


# --- sizes and durations ---


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("200KB", 200_000),
        ("1.5MB", 1_500_000),
        ("64KiB", 65_536),
        ("500", 500),
        ("10B", 10),
        ("2 gb", 2 * 10**9),
        ("3k", 3000),
    ],
)
def test_sizes(text, size):
    assert quantities.Size().convert(text, None, None) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("5ms", 0.005), ("1.5h", 5400), ("2 min", 120), ("1d", 86400)],
)
def test_durations(text, seconds):
    assert quantities.Duration().convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["soon", "10", "", "-5s", "5x", "m", "0s", "1h30"])
def test_what_is_no_duration(text):
    with pytest.raises(click.BadParameter, match=r"duration|more than 0"):
        quantities.Duration().convert(text, None, None)


@pytest.mark.parametrize("text", ["big", "", "-5KB", "5XB", "0", "0.2B"])
def test_what_is_no_size(text):
    with pytest.raises(click.BadParameter, match=r"size|at least 1"):
        quantities.Size().convert(text, None, None)


def test_kinds_of_columns():
    assert quantities.ColumnKindOf().convert("a=b=text", None, None) == ("a=b", "text")
    with pytest.raises(click.BadParameter, match="numeric"):
        quantities.ColumnKindOf().convert("a=number", None, None)


@given(st.integers(1, 10**12))
def test_sizes_are_shown_within_a_hundredth(size):
    number, unit = quantities.size_text(size).split()
    assert float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit] == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (-3, "0 s"), (12.4, "12 s"), (171, "2 min 51 s"), (3900, "1 h 05 min")]
)
def test_durations_are_shown(seconds, text):
    assert quantities.duration_text(seconds) == text


def test_result_folders_are_checked_before_the_work(tmp_path, monkeypatch):
    from automl_client.cli import delivery

    file = tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "sub"):
        with pytest.raises(errors.InvalidInput, match="--out"):
            delivery.Place.checked(folder)
    assert delivery.Place.checked(tmp_path / "new").of("j1") == tmp_path / "new"
    monkeypatch.chdir(tmp_path)
    assert delivery.Place.checked(None).of("j1") == Path("automl-j1")
