"""HTTP/1.1 over kept connections, JSON both ways: a client that costs little, so that the server is what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec


class Client:
    """Calls one server; `connections` at once. Raises OSError or EOFError when the server goes away in the middle."""

    def __init__(self, url: str, connections: int) -> None:
        address = urlsplit(url)
        assert address.hostname
        self._host, self._port = address.hostname, address.port or 80
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._turns = asyncio.Semaphore(connections)

    async def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status and the decoded body."""
        async with self._turns:
            reader, writer = await self._connection()
            try:
                writer.write(self._request(method, path, body, headers or {}))
                status, content = await _reply(reader)
            except BaseException:
                writer.close()
                raise
            self._idle.append((reader, writer))
        return status, msgspec.json.decode(content) if content else None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # the server has let it go, unused for so long
        return await asyncio.open_connection(self._host, self._port)

    def _request(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-length: {len(content)}\r\n{more}"
        return f"{head}content-type: application/json\r\n\r\n".encode() + content

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return int(head[9:12]), await reader.readexactly(int(length)) if length else b""
