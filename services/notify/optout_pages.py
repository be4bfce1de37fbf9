"""The page that ends reminders: reached by the link in each of them, without an account, for good."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.kit.problems import Problem
from services.kit.runtime import Runtime
from services.kit.security import BadToken
from services.kit.web import render
from services.notify.limits import Limits
from services.notify.reminding import OPTOUT


class OptOutPages:
    """`/thoi-nhac/{token}`. The token is the proof, so that the form needs no session; mail programs post to it in one click
    (RFC 8058)."""

    def __init__(self, runtime: Runtime) -> None:
        self._limits, self._clock = Limits(runtime), runtime.clock
        self.router = APIRouter(include_in_schema=False)
        self.router.get(OPTOUT + "{token}")(self.ask)
        self.router.post(OPTOUT + "{token}")(self.end)

    async def ask(self, request: Request, token: str) -> Response:
        """Asks once; a program that follows links changes nothing."""
        return render(request, "optout.html", done=bool(await self._limits.opted_out(self._keys(token)[:1])), token=token)

    async def end(self, request: Request, token: str) -> Response:
        await self._limits.opt_out(self._keys(token), self._clock.now())
        return render(request, "optout.html", done=True, token=token)

    def _keys(self, token: str) -> list[str]:
        try:
            return self._limits.read_token(token)
        except BadToken as error:
            raise Problem(404, "optout", "Đường dẫn này không đúng hoặc không đầy đủ.") from error
