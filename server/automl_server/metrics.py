"""Prometheus metrics, served over HTTP on 127.0.0.1 when a port is given."""

from __future__ import annotations

from collections.abc import Callable

import prometheus_client


class Metrics:
    """The server's own registry: nothing global, so that two servers in one process (tests) don't meet."""

    def __init__(self) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._calls = prometheus_client.Counter(
            "automl_calls", "Calls answered.", ["method", "code"], registry=self._registry
        )
        self._seconds = prometheus_client.Histogram(
            "automl_call_seconds",
            "Duration of calls.",
            ["method"],
            registry=self._registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0),
        )
        self._jobs = prometheus_client.Gauge("automl_jobs", "Unfinished jobs.", ["state"], registry=self._registry)
        self._watchers = prometheus_client.Gauge("automl_watchers", "Open WatchJob streams.", registry=self._registry)
        prometheus_client.ProcessCollector(registry=self._registry)

    def call(self, method: str, code: str, seconds: float) -> None:
        self._calls.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def observe(self, *, running: Callable[[], float], waiting: Callable[[], float], watchers: Callable[[], float]) -> None:
        """Functions that are asked at each reading."""
        self._jobs.labels("running").set_function(running)
        self._jobs.labels("waiting").set_function(waiting)
        self._watchers.set_function(watchers)

    def text(self) -> str:
        """What a reader gets."""
        return prometheus_client.generate_latest(self._registry).decode()

    def serve(self, port: int) -> int:
        """Answers on 127.0.0.1 from a thread of its own; the port that was taken (for 0, a free one). Raises `OSError`."""
        server, _ = prometheus_client.start_http_server(port, "127.0.0.1", self._registry)
        return server.server_port
