"""`/api/v1/admin/rounds/{round}/key`: a wrong key proposed, published or dropped, for programs. What it would change is scoring's
to say: `…/key/trial`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.kit.console import Account
from services.kit.console.audit_log import sealed
from services.kit.web import problems
from services.kit.web.console import admin_api, audited
from services.quiz.authoring.mending import Amendment, Mending

Caller = Annotated[Account, Depends(admin_api("city"))]


class ProposalBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: str = Field(max_length=200, description="Its id in the bank")
    right: str = Field(max_length=20, description="The right options by the question's own letters", examples=["C", "AC"])
    reason: str = Field(min_length=1, max_length=500)


class AmendmentView(BaseModel):
    """A version of a round's key after the first."""

    version: int
    question: str
    right: str
    reason: str
    at: datetime
    state: Literal["proposed", "published", "dropped"]


class KeyApi:
    """The calls."""

    def __init__(self, mending: Mending) -> None:
        self._mending = mending
        self.router = APIRouter(
            prefix="/api/v1/admin/rounds/{round}/key", tags=["admin"], responses=problems(401, 403, 404, 409, 422, 503)
        )
        self.router.get("", summary="The versions of a round's key after the first")(self.versions)
        self.router.post("", status_code=201, summary="Propose another right answer; nobody is judged by it yet")(self.propose)
        self.router.post("/{version}/publish", status_code=204, summary="Judge everyone by a proposed version")(self.publish)
        self.router.post("/{version}/drop", status_code=204, summary="Drop a proposed version")(self.drop)

    async def versions(self, _: Caller, round: str) -> list[AmendmentView]:
        return [_view(each) for each in await self._mending.amendments(round)]

    async def propose(self, request: Request, caller: Caller, round: str, body: ProposalBody) -> AmendmentView:
        made = await self._mending.propose(round, body.question, body.right, body.reason, caller.id)
        await audited(request, "key.proposed", round, version=made.version, question=made.question, reason=sealed(made.reason))
        return _view(made)

    async def publish(
        self,
        request: Request,
        _: Caller,
        round: str,
        version: int,
        seen: Annotated[str, Query(max_length=300, description="From `…/key/trial`; needed once the round has closed")] = "",
    ) -> None:
        await self._mending.decide(round, version, "published", seen)
        await audited(request, "key.publish", round, version=version)

    async def drop(self, request: Request, _: Caller, round: str, version: int) -> None:
        await self._mending.decide(round, version, "dropped")
        await audited(request, "key.drop", round, version=version)


def _view(made: Amendment) -> AmendmentView:
    return AmendmentView(
        version=made.version, question=made.question, right=made.right, reason=made.reason, at=made.at, state=made.state
    )
