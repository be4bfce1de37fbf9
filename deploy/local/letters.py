"""`hoithi dlq`: the dead letters of every topic, as an operator meets them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.table import Table

from deploy.local.refusal import Refusal
from deploy.local.wiring import House
from services.events import TOPICS
from services.kit.deadletters import Letter, letters, retry


async def overview(house: House) -> Table:
    """A row for each topic and reason that has letters."""
    table = Table("Chủ đề", "Lý do", "Chờ xử lý", "Đã gửi lại", box=None, pad_edge=False)
    for topic in TOPICS:
        found = await letters(house.bus, topic)
        waiting = Counter(letter.error for letter in found if not letter.retried)
        retried = Counter(letter.error for letter in found if letter.retried)
        for error in sorted(waiting | retried):
            table.add_row(topic, error, str(waiting[error]), str(retried[error]))
    return table


async def listing(house: House, topic: str) -> Table:
    """A row for each letter of a topic."""
    table = Table("Vị trí", "Lúc", "Trạng thái", "Nguồn", "Loại", "Lý do", box=None, pad_edge=False)
    for letter in await letters(house.bus, known(topic)):
        headers, at = letter.record.headers, datetime.fromtimestamp(letter.record.timestamp / 1000, UTC)
        source = f"{headers.get('partition')}/{headers.get('offset')}"
        state = "đã gửi lại" if letter.retried else "chờ"
        table.add_row(letter.place, f"{at:%Y-%m-%d %H:%M:%S}Z", state, source, headers.get("ce_type", ""), letter.error)
    return table


async def show(house: House, topic: str, place: str) -> str:
    """A letter whole: headers, then the body (JSON laid out; else as Python writes bytes)."""
    record = (await _one(house, topic, place)).record
    try:
        body = json.dumps(json.loads(record.value), ensure_ascii=False, indent=2)
    except ValueError:
        body = repr(record.value)
    return "\n".join([f"key: {record.key}", *(f"{name}: {value}" for name, value in record.headers.items()), "", body])


async def send_again(house: House, topic: str, places: Sequence[str], body: bytes | None) -> int:
    """Sends letters again: those named, or all that wait. Returns how many."""
    if places:
        chosen = [await _one(house, topic, place) for place in places]
    else:
        chosen = [letter for letter in await letters(house.bus, known(topic)) if not letter.retried]
    for letter in chosen:
        await retry(house.bus, letter, body)
    return len(chosen)


async def _one(house: House, topic: str, place: str) -> Letter:
    for letter in await letters(house.bus, known(topic)):
        if letter.place == place:
            return letter
    raise Refusal(f"Không có bản ghi lỗi {place} ở {topic}.", f"There is no dead letter {place} of {topic}.")


def known(topic: str) -> str:
    """The topic itself. Raises Refusal where there is none of that name."""
    if topic not in TOPICS:
        names = ", ".join(TOPICS)
        raise Refusal(f"Không có chủ đề {topic}; có: {names}.", f"There is no topic {topic}; there are: {names}.")
    return topic
