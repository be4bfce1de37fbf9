"""`hoithi replay`: a service's read models made anew from its topics, while the old ones are being read."""

from __future__ import annotations

from deploy.local.wiring import House


async def replay(house: House, service: str, *, anew: bool) -> int:
    """Returns how many records it took in. Raises BusDown or StoreDown, and then has changed nothing."""
    work = house.work(service)
    assert work.rebuild is not None, f"{service} has no read models"
    await work.start()
    return await work.rebuild(anew)
