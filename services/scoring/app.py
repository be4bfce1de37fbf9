"""Wires what scoring shows: results, standings, and the console of rounds."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from services.events import ContestBook
from services.kit.followed import Followed, events
from services.kit.runtime import Face, Runtime
from services.kit.store import answers
from services.kit.tokens import Bearers, looked_at
from services.scoring.admin_api import AdminApi
from services.scoring.api import Api
from services.scoring.casebook import Casebook
from services.scoring.certificate_pages import CertificatePages
from services.scoring.closing import Closing
from services.scoring.exclusions import Exclusions
from services.scoring.journals import Journals
from services.scoring.jury import Jury
from services.scoring.looks import Looks
from services.scoring.mending import Trials
from services.scoring.organisers import Organisers
from services.scoring.overall_api import OverallApi
from services.scoring.overall_pages import OverallPages
from services.scoring.pages import Pages
from services.scoring.public_pages import PublicPages
from services.scoring.settle_pages import SettlePages
from services.scoring.settlement import Settlements
from services.scoring.stats_api import StatsApi
from services.scoring.store import Standings, Verdicts


def face(runtime: Runtime) -> Face:
    """Results and standings."""
    book = ContestBook()
    contests = Followed(runtime.bus, "contests", events(book.read), copy=runtime.copy_of("contests"))
    journals = Journals()
    hosts = Followed(runtime.bus, "journals", events(journals.read), copy=runtime.copy_of("journals"))
    verdicts, standings, casebook = Verdicts(runtime.store), Standings(runtime.store), Casebook(runtime.store)
    settlements, exclusions, key = Settlements(runtime.store), Exclusions(runtime.store), runtime.secrets.get("certificate.key")
    api = Api(book, verdicts, standings, settlements, Bearers(runtime.secrets), runtime.clock)
    jury, trials = Jury(runtime, book), Trials(runtime.store)
    pages = Pages(book, casebook, verdicts, standings, jury, trials, looked_at(runtime.secrets), runtime.clock)
    closing = Closing(book, casebook, verdicts, standings, settlements, exclusions, trials, journals, runtime.clock, runtime.bus)
    looks = Looks(Organisers(runtime.store, runtime.secrets.get("phone.key")), closing, book)
    settling = SettlePages(closing, book, settlements, looks)
    certificates = CertificatePages(book, settlements, runtime.settings, key, runtime.clock)
    public = PublicPages(book, standings, settlements, key)
    admin = AdminApi(closing, casebook, jury, trials, looks, looked_at(runtime.secrets))
    overall = OverallPages(closing, book, settlements, looks)
    overall_api = OverallApi(closing, settlements, looks)
    stats = StatsApi(book, casebook, settlements, runtime.clock)
    router = APIRouter()
    for part in (api, admin, stats, overall, overall_api, pages, settling, certificates, public):
        router.include_router(part.router)

    async def start() -> None:
        await contests.start()
        await hosts.start()

    return Face(
        name="scoring",
        router=router,
        start=start,
        tasks=(contests.run, hosts.run),
        ready={"store": partial(answers, runtime.store)},
    )
