"""Signs tests in to the console, as any role.

    cookies = organiser_cookies(site, "district", subtree="HP-307")     # of a running Site
    client = httpx.Client(base_url=site.url, cookies=cookies)
    context.add_cookies(browser_cookies(site, "city"))                  # Playwright

The account is made at the first call for a role and subtree, with a second factor that is taken as set up; the ways in through
the pages themselves are what `test_console*.py` tests.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.kit.clock import SystemClock
from services.kit.console import Account, Role
from services.kit.security import Secrets
from services.kit.store import connect, settled
from services.kit.web import Console
from services.kit.web.console import COOKIE
from tests.site import Site


async def member(console: Console, role: Role = "city", subtree: str | None = None, who: str = "all") -> Account:
    """The account of this role and subtree (`who` tells several apart), made where there is none. Nobody can sign in to it with a
    password."""
    email = f"{role}.{subtree or who}@example.org".lower()
    made = await console.directory.create(email=email, name="Nguyễn Thị Thử", hash="!", role=role, subtree=subtree, grace=True)
    account = made or await console.directory.find(console.directory.id_of(email))
    assert account is not None
    return account


async def cookies_of(console: Console, role: Role = "city", subtree: str | None = None, who: str = "all") -> dict[str, str]:
    """The cookies of a browser in which such an account is signed in."""
    return {COOKIE: console.cookie(console.new_session("full", await member(console, role, subtree, who)))}


def organiser_cookies(site: Site, role: Role = "city", subtree: str | None = None, who: str = "all") -> dict[str, str]:
    """The same for a running installation, from a test that is not async itself."""

    async def run() -> dict[str, str]:
        client = connect(site.settings.store_url, "pymongo")
        try:
            console = Console(Secrets(site.data / "secrets"), client["hoithi_console"], SystemClock())
            return await cookies_of(console, role, subtree, who)
        finally:
            await settled(client.close())

    # In a thread of its own: Playwright's synchronous tests have a loop running in theirs.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()


def browser_cookies(site: Site, role: Role = "city", subtree: str | None = None, who: str = "all") -> list[Any]:
    """The same in the form that Playwright's `context.add_cookies` takes."""
    cookies = organiser_cookies(site, role, subtree, who)
    return [{"name": name, "value": value, "url": site.url} for name, value in cookies.items()]
