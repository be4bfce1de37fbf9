"""Zalo OA's notification service (ZNS): what its answers mean, and its access token, which lives for about a day.

The codes are those of https://zalo.cloud/zns/guidelines/handle-error-code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from services.kit.runtime import Runtime
from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.notify.domain import Channel, Result, awake
from services.notify.gateways import Deliver, GatewayAway, HttpGateway, Message, filled, member, short_id

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
QUIET = time(22), time(6)
"""Zalo's own night."""

REST = timedelta(hours=1)
"""So long nothing is tried where every message would meet the same refusal, until somebody mends it or a day begins."""

EARLY = timedelta(minutes=30)
"""A token is renewed so long before it ends."""

LEASE = timedelta(minutes=2)
"""Who began to renew this long ago and has not said how it ended has died, or was refused."""

YOUNG = timedelta(minutes=10)
"""A token that is refused at this age would not be mended by another."""


class Zalo(HttpGateway):
    """`message/template` of the v3 API: an approved template, filled in, to a phone."""

    channel: Channel = "zalo"
    LATER = frozenset({-32, -100})
    """Too many calls, or an error of theirs."""
    NIGHT = frozenset({-133, -234})
    """The template may not go out by night."""
    SPENT = frozenset({-115, -126, -137, -144, -147, -1441})
    """No balance left; the OA's or the template's quota of the day (or the month) is used up."""
    SETUP = frozenset({-101, -102, -103, -104, -105, -109, -120, -125, -131, -135, -136, -138, -145, -146, -1351})
    """The app, the OA or the template is not what it must be: our fault, not the message's."""
    TOKEN = frozenset({-124, -216, -220})
    """Our access token is wrong or has run out."""
    REFUSED = frozenset({-139, -141})
    """The person wants no such messages, or none from the OA."""

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        super().__init__(settings.zalo_url, runtime.clock, settings.gateway_timeout_s)
        self._template, self._data = settings.zalo_template, json.loads(settings.zalo_data)
        self._tokens = Tokens(runtime)
        self._token = self._refused = ""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Deliver]:
        # Here, and not while a message is on its way: nothing may break off a renewal.
        self._token = await self._tokens.current(self._refused)
        async with super().session() as deliver:
            yield deliver

    def request(self, message: Message) -> tuple[bytes, dict[str, str]]:
        body = {
            "phone": message["to"].removeprefix("+"),
            "template_id": self._template,
            "template_data": filled(self._data, {**message.get("values", {}), "text": message["text"]}),
            "tracking_id": short_id(message["_id"]),
        }
        return json.dumps(body, ensure_ascii=False).encode(), {"access_token": self._token}

    def accepted(self, response: httpx.Response) -> Result:
        error = member(response, "error")
        if error == 0:
            return Result("sent")
        if not isinstance(error, int):
            return self._unclear("answer not understood")
        reason, now = f"zalo {error}", self._clock.now()
        if error in self.TOKEN:
            self._refused = self._token
            # The next session begins with another one, if there is one to be had.
            return Result("again", reason, timedelta(seconds=1)) if self._tokens.renewable else Result("again", reason, away=True)
        if error in self.NIGHT:
            return Result("again", reason, max(awake(now, *QUIET, ZONE) - now, timedelta(minutes=15)))
        if error in self.SPENT or error in self.SETUP:
            return Result("again", reason, REST, away=True)
        if error in self.LATER:
            return Result("again", reason)
        return Result("failed", reason, refused=error in self.REFUSED)


class Tokens:
    """The pair of tokens of an Official Account. A refresh token brings the next pair and works once: the pair lies in the
    store, one worker at a time renews it, and what Zalo answered is durable before it is used.

    It begins with the refresh token of the settings; another one there begins anew, also after an answer was lost.
    """

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self._given, self._first = settings.zalo_token.get_secret_value(), settings.zalo_refresh_token.get_secret_value()
        self._app, self._secret = settings.zalo_app_id, settings.zalo_app_secret.get_secret_value()
        self._url, self._timeout, self._clock = settings.zalo_oauth_url, settings.gateway_timeout_s, runtime.clock
        self._kept = runtime.store["zalo"].with_options(write_concern=FACTS)
        self._unsaved: tuple[str, dict[str, Any]] | None = None

    @property
    def renewable(self) -> bool:
        """Whether there is all that Zalo asks for."""
        return bool(self._app and self._secret and self._first)

    async def current(self, refused: str = "") -> str:
        """A token to send with, another one than the `refused`. Raises GatewayAway, StoreDown."""
        if not self.renewable:
            return self._given
        await self._save()
        held, now = await self._held(), self._clock.now()
        access: str = held["access"]
        usable = access not in ("", refused) and now < held["ends"]
        if usable and now < held["ends"] - EARLY:
            return access
        try:
            if access and access == refused and now < held["since"] + YOUNG:
                raise GatewayAway("a new token is refused")
            return await self._renewed(held, now)
        except GatewayAway:
            if usable:
                return access
            raise

    async def _held(self) -> Mapping[str, Any]:
        seed = blake2b(self._first.encode(), digest_size=8).hexdigest()
        begin = {"access": "", "refresh": self._first, "asked": None}
        while True:
            held = (await find_ids(self._kept, ["pair"])).get("pair")
            if held is None:
                await insert_facts(self._kept, [{"_id": "pair", "seeds": [seed], "ends": self._clock.now(), **begin}])
            elif seed in held["seeds"]:
                return held
            else:
                await self._swap({"refresh": held["refresh"]}, {"seeds": [*held["seeds"], seed], **begin})

    async def _renewed(self, held: Mapping[str, Any], now: datetime) -> str:
        if held["asked"] and now < held["asked"] + LEASE:
            raise GatewayAway("the token is being renewed")
        spent: str = held["refresh"]
        if not await self._swap({"refresh": spent, "asked": held["asked"]}, {"asked": now}):
            raise GatewayAway("the token is being renewed")
        access, refresh, seconds = await self._ask(spent)
        pair = {"access": access, "refresh": refresh, "since": now, "ends": now + timedelta(seconds=seconds), "asked": None}
        self._unsaved = spent, pair
        await self._save()
        return access

    async def _save(self) -> None:
        """Keeps an answer that the store has not taken yet."""
        if self._unsaved is not None:
            spent, pair = self._unsaved
            await self._swap({"refresh": spent}, pair)
            self._unsaved = None

    async def _swap(self, where: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
        with store_errors():
            result = await self._kept.update_one({"_id": "pair", **where}, {"$set": change})
        return bool(result.matched_count)

    async def _ask(self, refresh: str) -> tuple[str, str, int]:
        """The next pair, and how many seconds its access token lives. Raises GatewayAway."""
        form = {"app_id": self._app, "grant_type": "refresh_token", "refresh_token": refresh}
        try:
            async with asyncio.timeout(LEASE.total_seconds() / 2), httpx.AsyncClient(timeout=self._timeout) as client:
                response = await client.post(self._url, data=form, headers={"secret_key": self._secret})
        except (httpx.HTTPError, TimeoutError) as error:
            raise GatewayAway(f"the token was not renewed: {type(error).__name__}") from error
        access, next_one = member(response, "access_token"), member(response, "refresh_token")
        if not (isinstance(access, str) and access and isinstance(next_one, str) and next_one):
            raise GatewayAway(f"the token was not renewed: {str(member(response, 'error'))[:20]}")
        seconds = str(member(response, "expires_in"))  # a string in theirs; a pair is not to be lost over it
        return access, next_one, int(seconds) if seconds.isdecimal() else 3600
