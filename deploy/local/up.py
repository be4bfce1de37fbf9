"""`hoithi up`: the whole installation in the foreground, until Ctrl-C."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import segno
from rich.console import Console as Terminal

from deploy.local.folders import KEPT, announce, free_port, only_one, withdraw, write_whole
from deploy.local.refusal import Refusal
from deploy.local.supervisor import Program, Supervisor
from deploy.local.wiring import KAFKA, SERVICES, House
from services.kit import lifecycle
from services.kit.bus import BusDown
from services.kit.console.passes import admin_path
from services.kit.security import Secrets
from services.kit.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "hai-phong-2023"
BIN = Path(sys.executable).parent
FREE_BYTES = 200 * 1024 * 1024
"""Less free disk than this, and the installation would soon stop taking submissions."""

BROKERS_SECONDS = 15.0
"""How long brokers may take to answer; young ones are still making the topics."""

terminal = Terminal(highlight=False)


def up(settings: Settings) -> int:
    """Runs everything until Ctrl-C. Returns the exit status. Raises Refusal where it cannot start."""
    os.umask(0o077)  # What people entrust to us is nobody else's on this machine.
    check_machine(settings)
    with only_one(settings):
        settings = settings.model_copy(update={"port": _port(settings)})
        return asyncio.run(_up(settings))


def check_machine(settings: Settings) -> None:
    """Raises Refusal for what would only fail later, and less clearly."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        version = ".".join(map(str, sys.version_info[:2]))
        raise Refusal(
            f"Hội Thi cần CPython 3.11, 3.12 hoặc 3.13; đây là Python {version}.",
            f"Hội Thi needs CPython 3.11, 3.12 or 3.13; this is Python {version}.",
        )
    try:
        for folder in KEPT:
            (settings.data_dir / folder).mkdir(parents=True, exist_ok=True)
        write_whole(settings.run_dir / "probe", "")
        (settings.run_dir / "probe").unlink()
    except OSError as error:
        raise Refusal(
            f"Không ghi được vào thư mục dữ liệu {settings.data_dir} ({error.strerror}): hãy sửa quyền hoặc đặt DATA_DIR khác.",
            f"Cannot write to the data directory {settings.data_dir} ({error.strerror}): mend it, or set another DATA_DIR.",
        ) from error
    free = shutil.disk_usage(settings.data_dir).free
    if free < FREE_BYTES:
        raise Refusal(
            f"Đĩa chứa {settings.data_dir} chỉ còn {free >> 20} MB trống; cần ít nhất {FREE_BYTES >> 20} MB.",
            f"The disk of {settings.data_dir} has only {free >> 20} MB left; at least {FREE_BYTES >> 20} MB are needed.",
        )
    if settings.store is None and not (BIN / "secantusd-py").exists():
        raise Refusal(
            "Thiếu chương trình kho dữ liệu secantusd-py: hãy cài bằng `make run`, hoặc đặt HOITHI_STORE là địa chỉ MongoDB.",
            "The store's program secantusd-py is missing: install with `make run`, or set HOITHI_STORE to the URL of a MongoDB.",
        )


def _port(settings: Settings) -> int:
    # What a killed predecessor left behind ends by itself, and takes a moment.
    tries = 50 if (settings.run_dir / "web.json").exists() else 1
    while True:
        try:
            return free_port(settings.port, settings.host)
        except OSError as error:
            tries -= 1
            if not tries:
                raise _taken(settings, error) from error
            time.sleep(0.1)


def _taken(settings: Settings, error: OSError) -> Refusal:
    return Refusal(
        f"Không mở được cổng {settings.port} ({error.strerror}): hãy dừng chương trình đang dùng nó, hoặc đặt PORT khác.",
        f"Cannot open port {settings.port} ({error.strerror}): stop the program that uses it, or set another PORT.",
    )


async def _up(settings: Settings) -> int:
    stop = lifecycle.stopping()
    announce(settings, "up", os.getpid(), address=public_url(settings))
    supervisor = Supervisor(settings, lambda line: terminal.print(f"[yellow]●[/] {line}", soft_wrap=True))
    try:
        if await _unless(stop, _start(settings, supervisor)):
            terminal.print(welcome(settings), soft_wrap=True)
            terminal.print(qr(public_url(settings)), style="bright_white on black")
            terminal.print("[dim]Ctrl-C để dừng.[/]")
            await stop.wait()
        terminal.print("Đang dừng…")
    finally:
        await supervisor.stop()
        withdraw(settings, "up", os.getpid())
    terminal.print("Đã dừng.")
    return 0


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Does the work; False where it was given up because it is time to stop."""
    doing, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        await doing
        return True
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    return False


async def _start(settings: Settings, supervisor: Supervisor) -> None:
    """Store and workers, the first contest, web; returns when all of it is ready."""
    terminal.print("Đang khởi động…")
    port = _store_port(settings.run_dir / "store.url") if settings.store is None else None
    if port:
        supervisor.start(_store(settings, port))
    hoithi = str(BIN / "hoithi")
    relay = (_program(settings, "relay", hoithi, "relay"),) if settings.bus.startswith(KAFKA) else ()
    supervisor.start(*relay, *(_program(settings, f"work-{service}", hoithi, "work", service) for service in SERVICES))
    await _load_first(settings, port)
    supervisor.start(_program(settings, "web", hoithi, "serve"))
    async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
        await _until(lambda: _ready(client, f"{local_url(settings)}/readyz"))


def _program(settings: Settings, name: str, *command: str) -> Program:
    here = {
        "HOITHI_PROCESS": name,
        "HOITHI_PORT": str(settings.port),
        "HOITHI_DATA_DIR": str(settings.data_dir),
        "HOITHI_PUBLIC_URL": public_url(settings),
    }
    return Program(name=name, command=command, environment=here)


def _store(settings: Settings, port: int) -> Program:
    write_whole(settings.run_dir / "store.url", f"mongodb://127.0.0.1:{port}")
    where = ("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(settings.data_dir / "store"))
    return Program(name="store", command=(str(BIN / "secantusd-py"), "--standalone", *where, "--log-level", "WARNING"))


def _store_port(address: Path) -> int:
    """The port of the last time, so that who still knows it finds the store there; another one where it is taken."""
    try:
        return free_port(int(address.read_text().rpartition(":")[2]))
    except (OSError, ValueError):
        return free_port()


async def _load_first(settings: Settings, port: int | None) -> None:
    """The example, where nothing has been published yet; before the web opens, so that it opens with it."""
    if not settings.example:
        return
    house = House(settings)
    try:
        if not await _published(house):
            # Imported by need: it is needed once.
            from deploy.local.loading import load

            if port:
                await _until(lambda: _listens(port))
            await load(house, EXAMPLE, shifted=True)
    finally:
        await house.close()


async def _published(house: House) -> bool:
    until = time.monotonic() + BROKERS_SECONDS
    while True:
        try:
            return bool(await house.bus.read("contests"))
        except BusDown as down:
            if time.monotonic() > until:
                raise Refusal(
                    f"Không đọc được từ {house.settings.bus}: {down}. Kafka đã chạy chưa (`make kafka`)?",
                    f"Cannot read from {house.settings.bus}: {down}. Is Kafka running (`make kafka`)?",
                ) from down
            await asyncio.sleep(0.5)


async def _until(done: Callable[[], Awaitable[bool]]) -> None:
    while not await done():  # noqa: ASYNC110 (another process is waited for)
        await asyncio.sleep(0.1)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False


def welcome(settings: Settings) -> str:
    """Where everything is."""
    here, there = local_url(settings), public_url(settings)
    rows = {
        "Trang dự thi": f"{here}/",
        "Trên điện thoại": f"{there}/",
        "Bảng theo dõi": f"{there}/board",
        "Quản trị": admin_link(settings),
        "Dữ liệu": str(settings.data_dir.resolve()),
    }
    return "\n".join(["", "[bold green]Hội Thi đã sẵn sàng.[/]", *(f"  {what:<16} {where}" for what, where in rows.items()), ""])


def qr(url: str) -> str:
    """A QR code of half blocks, light on dark."""
    out = io.StringIO()
    segno.make(url).terminal(out=out, compact=True)
    return out.getvalue()


def admin_link(settings: Settings) -> str:
    """The link that makes the first account of the console, and later recovers one: whoever has it is an organiser."""
    try:
        address = json.loads((settings.run_dir / "up.json").read_text())["address"]
    except FileNotFoundError:
        address = public_url(settings)
    return str(address) + admin_path(Secrets(settings.data_dir / "secrets"))


def local_url(settings: Settings) -> str:
    """The pages, seen from this machine."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{host}:{settings.port}"


def public_url(settings: Settings) -> str:
    """The pages, seen from a phone."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    if settings.host != "0.0.0.0":  # noqa: S104
        return local_url(settings)
    return f"http://{_network_address()}:{settings.port}"


def _network_address() -> str:
    """This machine's address on its network: that from which it would send. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("10.255.255.255", 1))
        except OSError:
            return "127.0.0.1"
        address: str = s.getsockname()[0]
        return address
