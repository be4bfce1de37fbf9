"""Campaigns of reminders (đợt nhắc): whom, by which channel, in what words, and how far each has come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from services.kit.store import FACTS, find_ids, insert_facts, store_errors
from services.notify.domain import Channel

if TYPE_CHECKING:
    from services.kit.store import Database

Audience = Literal["contacts", "roster", "people"]
"""The contacts of units; those of units' rosters who have not taken part; the registered who have not."""

CampaignState = Literal["draft", "confirmed", "sending", "done", "cancelled"]


class Figures(msgspec.Struct, frozen=True):
    """What is known of a unit as of a time; None is unknown. `days`: so long has it been silent. `category` and `round`: whose
    figures they are and of which round, where not of everybody and the whole contest."""

    people: int | None = None
    headcount: int | None = None
    rate: float | None = None
    days: int | None = None
    as_of: datetime | None = None
    category: str | None = None
    round: str | None = None


class Address(msgspec.Struct, frozen=True):
    """Where somebody who looks after a unit is reached; `account` says that it is a console account's."""

    unit: str
    name: str
    email: str = ""
    phone: str = ""
    account: bool = False


class Campaign(msgspec.Struct, kw_only=True, frozen=True):
    """A campaign in full. `root` is the unit below which it looks for people (None: everywhere); `units` are those that lag, with
    their `figures`; `addresses` were copied from the console's accounts when it was made. `made_by` is an account's id, or ""
    where a notice made it."""

    id: str = msgspec.field(name="_id")
    contest: str
    audience: Audience
    channel: Channel = "email"
    root: str | None = None
    round: str | None = None
    units: tuple[str, ...] = ()
    figures: dict[str, Figures] = {}
    addresses: tuple[Address, ...] = ()
    with_contacts: bool = True
    with_accounts: bool = True
    with_above: bool = False
    subject: str
    text: str
    state: CampaignState = "draft"
    made_by: str = ""
    made_at: datetime
    as_of: datetime | None = None
    confirmed_at: datetime | None = None
    ended_at: datetime | None = None
    recipients: int = 0
    left_out: dict[str, int] = {}
    counts: dict[str, int] = {}
    revision: int = 0

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        kept: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(datetime,))
        return kept


def notice_campaign(contest: str, as_of: datetime) -> str:
    """The draft that the notices of one hour make together: the same for the same notices."""
    return blake2b(f"{contest}|{as_of.isoformat()}".encode(), digest_size=8).hexdigest()


class Campaigns:
    """The store of campaigns and of the units that notices named. All methods raise StoreDown."""

    def __init__(self, database: Database) -> None:
        self._campaigns = database["campaigns"].with_options(write_concern=FACTS)
        self._lags = database["lags"].with_options(write_concern=FACTS)

    async def prepare(self) -> None:
        """Makes the indexes."""
        with store_errors():
            await self._lags.create_index([("campaign", 1)])

    async def add(self, campaigns: Sequence[Campaign]) -> int:
        """Adds campaigns; those that are there stay as they are. Returns how many were new."""
        return len(campaigns) - len(await insert_facts(self._campaigns, [campaign.document() for campaign in campaigns]))

    async def add_lags(self, lags: Sequence[dict[str, Any]]) -> None:
        """Notes that units lag: facts with `_id`, `campaign`, `unit` and figures."""
        await insert_facts(self._lags, lags)

    async def lags(self, campaign: str) -> dict[str, Figures]:
        """The units that notices named for a campaign, with their figures. Of several on a unit the first by id stands."""
        with store_errors():
            found = [lag async for lag in self._lags.find({"campaign": campaign})]
        by_unit: dict[str, Figures] = {}
        for lag in sorted(found, key=lambda lag: str(lag["_id"])):
            by_unit.setdefault(lag["unit"], msgspec.convert(lag["figures"], Figures))
        return by_unit

    async def get(self, id: str) -> Campaign | None:
        """A campaign; a draft of notices with the units that they have named so far."""
        with store_errors():
            held = await self._campaigns.find_one({"_id": id})
        if held is None:
            return None
        campaign = msgspec.convert(held, Campaign)
        if campaign.state == "draft" and campaign.as_of is not None:
            lags = await self.lags(id)
            rounds = {figures.round for figures in lags.values() if figures.days is None}
            round = rounds.pop() if len(rounds) == 1 else None
            return msgspec.structs.replace(campaign, units=tuple(sorted(lags)), figures=lags, round=round)
        return campaign

    async def cancelled(self, id: str) -> bool:
        """Whether nothing more of a campaign may go out."""
        held = (await find_ids(self._campaigns, [id], {"state": 1})).get(id)
        return held is not None and held["state"] == "cancelled"

    async def of_contest(self, contest: str) -> list[Campaign]:
        """The campaigns of a contest, the newest first."""
        with store_errors():
            found = [msgspec.convert(held, Campaign) async for held in self._campaigns.find({"contest": contest})]
        return sorted(found, key=lambda campaign: campaign.made_at, reverse=True)

    async def at_work(self) -> list[Campaign]:
        """The campaigns that have been confirmed and have not ended."""
        with store_errors():
            wanted = {"state": {"$in": ["confirmed", "sending"]}}
            return [msgspec.convert(held, Campaign) async for held in self._campaigns.find(wanted)]

    async def put(self, campaign: Campaign) -> Campaign | None:
        """Writes a campaign where nobody has since it was read; None where somebody has."""
        after = msgspec.structs.replace(campaign, revision=campaign.revision + 1)
        document = after.document()
        del document["_id"]
        with store_errors():
            result = await self._campaigns.update_one({"_id": campaign.id, "revision": campaign.revision}, {"$set": document})
        return after if result.matched_count else None
