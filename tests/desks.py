"""Browsers of people at work in the console. With HOITHI_SHOTS=folder every page that they come to is kept as a picture, at a
phone's size and a desktop's."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

CHROMIUM = "/usr/bin/chromium"
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
SLOW = 60_000
expect.set_options(timeout=SLOW)


class Desk:
    """One person's browser, of the size that its page was opened with. `errors` are what its console complained of."""

    def __init__(self, page: Page, who: str = "") -> None:
        folder = os.environ.get("HOITHI_SHOTS")
        self.page, self._shots, self._who, self._taken = page, Path(folder) if folder else None, who, 0
        self.errors: list[str] = []
        self._links: dict[str, str] = {}
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self.errors.append(f"{page.url}: {said.text}") if said.type == "error" else None)

    async def go(self, path: str) -> None:
        await self.page.goto(path)
        await self.look()

    async def look(self) -> None:
        """Nothing may be wider than the screen; `who` has every page photographed."""
        own, self._taken = self.page.viewport_size or DESKTOP, self._taken + 1
        for link in await self.page.eval_on_selector_all("a[href^='/']", "links => links.map(a => a.getAttribute('href'))"):
            self._links[link.partition("#")[0].partition("?")[0]] = link
        for size in (PHONE, DESKTOP):
            await self.page.set_viewport_size(size)  # type: ignore[arg-type]
            width = await self.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], f"{self.page.url} is {width} wide"
            if self._shots and self._who:
                name = re.sub(r"\W+", "-", self.page.url.partition("//")[2].partition("/")[2])[:60]
                self._shots.mkdir(parents=True, exist_ok=True)
                await self.page.screenshot(
                    path=self._shots / f"{self._who}{self._taken:02d}-{name}-{size['width']}.png", full_page=True
                )
        await self.page.set_viewport_size(own)  # type: ignore[arg-type]

    async def fill(self, **values: str) -> None:
        for name, value in values.items():
            field = self.page.locator(f'main [name="{name}"]:not([type="hidden"])').first
            if await field.evaluate("field => field.tagName") == "SELECT":
                await field.select_option(value)
            else:
                await field.fill(value)

    async def press(self, name: str | re.Pattern[str]) -> None:
        await self.page.get_by_role("button", name=name).first.click()
        await self.page.wait_for_load_state()
        await self.look()

    async def follow(self, name: str) -> None:
        """Clicks on a link of the page itself."""
        await self.page.locator("main").get_by_role("link", name=name).first.click()
        await self.page.wait_for_load_state()
        await self.look()

    async def fetch(self, name: str) -> bytes:
        """What a link of the page leads to, as a file."""
        path = await self.page.locator("main").get_by_role("link", name=name).first.get_attribute("href")
        answer = await self.page.request.get(str(path))
        assert answer.ok, f"{path}: {answer.status}"
        return await answer.body()

    async def tries_all_links(self) -> None:
        """Nothing that a page has offered leads nowhere or to where this person may not go; of each path one address is tried."""
        for path, link in self._links.items():
            if not path.startswith("/lang/"):
                answer = await self.page.request.get(link)
                assert answer.ok, f"{link}: {answer.status}"

    async def sees(self, *texts: str) -> None:
        for text in texts:
            await expect(self.page.locator("main")).to_contain_text(text)

    async def comes_to(self, path: str, text: str) -> None:
        """Reloads a page until it says so."""
        for _ in range(120):
            await self.page.goto(path)
            if await self.page.get_by_text(text).count():
                break
            await self.page.wait_for_timeout(500)
        await expect(self.page.get_by_text(text).first).to_be_visible()
        await self.look()


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Headless Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            await chromium.close()


async def sit_down(chromium: Browser, url: str, *, cookies: Any = (), size: dict[str, int] = DESKTOP, who: str = "") -> Desk:
    """Somebody before a browser of their own."""
    context = await chromium.new_context(viewport=size, locale="vi-VN", base_url=url)  # type: ignore[arg-type]
    context.set_default_timeout(SLOW)
    await context.add_cookies(list(cookies))
    return Desk(await context.new_page(), who)
