"""The ceiling of `bench-submit`: the same server as ours, answering every request at once with nothing done."""

from __future__ import annotations

import sys
from typing import Any

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def main() -> None:
    port = int(sys.argv[1])
    server = Server(
        app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, backlog=2048, backpressure=20_000, log_enabled=False
    )
    await server.serve()


uvloop.run(main())
