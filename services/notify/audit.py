"""What notify can tell of one attempt: which messages it gave rise to and what became of them, without their addresses."""

from __future__ import annotations

from typing import Any

from services.kit.runtime import Runtime
from services.notify.domain import message_id
from services.notify.store import Outbox

REVISIONS = 8
"""More verdicts than any attempt gets."""


async def trace(runtime: Runtime, attempt: str) -> list[dict[str, Any]]:
    """`at`, `what` and details of each message."""
    ids = [message_id(attempt, revision) for revision in range(REVISIONS)]
    found = await Outbox(runtime.store).of_attempt(attempt, ids)
    return [{"at": m["due"], "what": f"message {m['state']}", "where": m["_id"], "reason": m.get("reason", "")} for m in found]
