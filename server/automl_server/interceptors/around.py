"""Runs every kind of call inside one asynchronous context manager, so that an interceptor is written once and not four
times."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

Guard = Callable[[grpc.aio.ServicerContext], contextlib.AbstractAsyncContextManager[Any]]
RequestCheck = Callable[[Any, grpc.aio.ServicerContext], None]
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]]


def around(handler: Any, guard: Guard, check: RequestCheck | None = None) -> Any:
    """A handler of the same kind whose calls run inside `guard(context)`; `check` sees each request message first."""

    async def unary(request_or_stream: Any, context: grpc.aio.ServicerContext) -> Any:
        async with guard(context):
            return await (handler.unary_unary or handler.stream_unary)(_checked(request_or_stream, context), context)

    async def streaming(request_or_stream: Any, context: grpc.aio.ServicerContext) -> None:
        async with guard(context):
            result = (handler.unary_stream or handler.stream_stream)(_checked(request_or_stream, context), context)
            if inspect.isasyncgen(result):
                async with contextlib.aclosing(result):
                    async for message in result:
                        await context.write(message)
            else:  # it writes to the context itself
                await result

    def _checked(request_or_stream: Any, context: grpc.aio.ServicerContext) -> Any:
        if check is None:
            return request_or_stream
        if handler.request_streaming:
            return _each(request_or_stream, context)
        check(request_or_stream, context)
        return request_or_stream

    async def _each(stream: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
        assert check is not None
        async for message in stream:
            check(message, context)
            yield message

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        streaming if handler.response_streaming else unary,
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
