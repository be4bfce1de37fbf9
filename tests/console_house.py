"""The console in one process: its pages over a store in memory and a clock that stands, and browsers for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyotp

from services.kit.clock import ManualClock
from services.kit.console.passes import admin_path
from services.kit.runtime import Face, UnitName
from services.kit.security import Secrets
from services.kit.web import Console, create_app
from tests.contract.memory_store import memory_store
from tests.organisers import cookies_of

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
PASSWORD, OTHER = "mùa xuân đầu tiên", "mùa thu thứ hai"
UNITS = {
    "HP": UnitName("Hải Phòng", None),
    "A": UnitName("Quận A", "HP"),
    "A1": UnitName("Phường A1", "A"),
    "B": UnitName("Quận B", "HP"),
}
HERE = "https://hoithi.test"


class ConsoleHouse:
    """One application that shows these faces behind the console. Its browsers are to be closed: `close`."""

    def __init__(self, folder: Path, faces: Sequence[Face] = ()) -> None:
        self.clock, self.secrets, self.database = ManualClock(NOW), Secrets(folder), memory_store()
        self.console = Console(self.secrets, self.database, self.clock)
        self.app = create_app(faces, self.console)
        self.browsers: list[httpx.AsyncClient] = []

    def browser(self, cookies: dict[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
        browser = httpx.AsyncClient(transport=transport, base_url=HERE, cookies=cookies, follow_redirects=True)
        self.browsers.append(browser)
        return browser

    async def signed_in(self, role: Any = "city", subtree: str | None = None) -> httpx.AsyncClient:
        return self.browser(await cookies_of(self.console, role, subtree))

    async def actions(self) -> list[str]:
        end, _ = await self.console.audit.head()
        return [entry.action for entry in reversed(await self.console.audit.page(end, 100))]

    async def noted(self) -> str:
        """All that the audit log holds in words."""
        end, _ = await self.console.audit.head()
        return "\n".join(entry.details for entry in await self.console.audit.page(end, 100))

    async def close(self) -> None:
        """Closes all browsers."""
        for browser in self.browsers:
            await browser.aclose()


def token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found, page.text
    return found[1]


async def submit(browser: httpx.AsyncClient, form_at: str, to: str, **fields: str) -> httpx.Response:
    """Opens the page with the form, then sends it."""
    return await browser.post(to, data={"csrf": token(await browser.get(form_at)), **fields})


async def found(house: ConsoleHouse, email: str = "ngoc@example.org") -> httpx.AsyncClient:
    """A browser in which the first account has just been made."""
    browser = house.browser()
    page = await browser.get(admin_path(house.secrets))
    await browser.post("/console/first-account", data=new_account(page, email))
    return browser


def new_account(page: httpx.Response, email: str, **more: str) -> dict[str, str]:
    return {"csrf": token(page), "name": "Trần Bích Ngọc", "email": email, "password": PASSWORD, **more}


async def set_code(browser: httpx.AsyncClient, clock: ManualClock) -> tuple[pyotp.TOTP, list[str]]:
    """Sets up the second factor; returns the authenticator app and the recovery codes."""
    page = await browser.get("/console/totp")
    secret = re.search(r'id="secret">([A-Z2-7 ]+)<', page.text)
    assert secret
    app = pyotp.TOTP(secret[1].replace(" ", ""))
    done = await browser.post("/console/totp", data={"csrf": token(page), "code": app.at(clock.now())})
    return app, re.findall(r"<li>([a-z0-9]{5}-[a-z0-9]{5})</li>", done.text)


async def sign_in(browser: httpx.AsyncClient, email: str = "ngoc@example.org", password: str = PASSWORD) -> httpx.Response:
    return await submit(browser, "/console/sign-in", "/console/sign-in", email=email, password=password)
