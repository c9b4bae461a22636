"""Counts calls, for metrics, the log, and for knowing when the server is idle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog

from automl_server.interceptors.around import Continuation, around
from automl_server.metrics import Metrics

_NO_ACTIVITY = ("/grpc.health.v1.Health/Watch",)
"""A load balancer that watches must not keep an idle server awake."""

log = structlog.get_logger(__name__)


class ActivityInterceptor(grpc.aio.ServerInterceptor):
    def __init__(self, metrics: Metrics):
        self._metrics = metrics
        self._open = 0
        self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds without any call; 0 while there is one."""
        return 0.0 if self._open else time.monotonic() - self._last

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        return None if handler is None else around(handler, self._counting(details.method))

    def _counting(self, method: str) -> Any:
        counts = method not in _NO_ACTIVITY

        @contextlib.asynccontextmanager
        async def guard(context: grpc.aio.ServicerContext) -> AsyncIterator[None]:
            begun = time.monotonic()
            self._open += counts
            try:
                yield
            finally:
                now = time.monotonic()
                self._open -= counts
                self._last = now if counts else self._last
                code = _code(context)
                self._metrics.call(method, code, now - begun)
                log.debug("call", method=method, code=code, seconds=round(now - begun, 4), peer=context.peer())

        return guard


def _code(context: grpc.aio.ServicerContext) -> str:
    if context.cancelled():
        return "CANCELLED"
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((known.name for known in grpc.StatusCode if known.value[0] == code), "OK")
