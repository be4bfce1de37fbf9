"""`hoithi audit-log`: who did what, and whether the log of it is whole."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.local.refusal import Refusal
from services.kit.console import AuditLog
from services.kit.console.audit_log import Broken


@dataclass(frozen=True)
class Verdict:
    """Whether the log is whole, and the sentence that says so."""

    whole: bool
    text: str


async def verify(log: AuditLog, noted: str | None) -> Verdict:
    """Checks every entry; `noted` is a head "number:hash" that was written down elsewhere. Raises Refusal for another text."""
    seq, _, hash = (noted or "0:").partition(":")
    if noted and (not seq.isdigit() or int(seq) < 1 or len(hash) != 64):
        raise Refusal(f"Mục cuối phải có dạng số:mã-băm, không phải {noted}.", f"A head is number:hash, not {noted}.")
    try:
        count = await log.verify((int(seq), hash) if noted else None)
    except Broken as broken:
        return Verdict(False, f"Nhật ký không còn nguyên vẹn, ở mục {broken.seq}: {broken.reason}")
    last, hash = await log.head()
    return Verdict(True, f"Nhật ký nguyên vẹn: {count} mục. Mục cuối: {last}:{hash}")


async def show(log: AuditLog, count: int) -> list[str]:
    """The last entries, a line each, the oldest first."""
    end, _ = await log.head()
    return [
        f"{entry.seq:>6}  {entry.at[:19]}  {entry.actor:<18} {entry.action:<26} {entry.subject}  {entry.details}"
        for entry in reversed(await log.page(end, count))
    ]
