"""The organisers' view of the outbox: what waits, what went out, what needs a decision."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.kit.clock import Clock
from services.kit.console import Account
from services.kit.problems import Problem
from services.kit.web import render
from services.kit.web.console import audited, needs, needs_form
from services.notify.domain import STATES, States, masked
from services.notify.store import COUNTED, Outbox
from services.notify.words import CHANNEL_NAMES, PURPOSES, REASONS, STATE_NAMES

PAGE = 50

Operator = Annotated[Account, Depends(needs("city", "operator"))]
OperatorForm = Annotated[FormData, Depends(needs_form("city", "operator"))]


def router(outbox: Outbox, clock: Clock, channels: Collection[str]) -> APIRouter:
    """`/console/messages`. `channels`: those that there is a gateway for."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/console/messages")
    async def messages(
        request: Request, _: Operator, state: States = "waiting", page: Annotated[int, Query(ge=0, le=10_000)] = 0
    ) -> Response:
        counts = await outbox.counts()
        found = await outbox.page(state, page * PAGE, PAGE + 1)
        return render(
            request, "messages.html", states=STATES, names=STATE_NAMES, counts=counts, counted=COUNTED, state=state, page=page,
            messages=found[:PAGE], more=len(found) > PAGE, masked=masked, gateway="email" in channels, channels=CHANNEL_NAMES,
            purposes=PURPOSES, reasons=REASONS,
        )  # fmt: skip

    @routes.post("/console/messages/again")
    async def send_again(request: Request, form: OperatorForm) -> Response:
        if not await outbox.send_again(str(form.get("message", "")), clock.now()):
            raise Problem(409, "message", "Tin này không còn chờ quyết định.", field="message")
        await audited(request, "message.sent-again", str(form.get("message", "")))
        return RedirectResponse("/console/messages?state=waiting", 303)

    @routes.post("/console/messages/give-up")
    async def give_up(request: Request, form: OperatorForm) -> Response:
        if not await outbox.give_up(str(form.get("message", ""))):
            raise Problem(409, "message", "Tin này không còn chờ quyết định.", field="message")
        await audited(request, "message.given-up", str(form.get("message", "")))
        return RedirectResponse("/console/messages?state=uncertain", 303)

    return routes
