"""The local log as a bus: what `services.kit.bus.Bus` promises, on one machine, without a server.

Every process that opens the same directory takes part. A group whose service publishes to a log commits its offsets in that
log, so that publishing and committing are one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path

from services.kit.bus import BusDown, Consumer, Outgoing, Record, TopicSpec, check_sizes, dead_letter_topic
from services.kit.clock import Clock
from services.kit.locallog.commit import GroupCommit
from services.kit.locallog.groups import Membership, committed
from services.kit.locallog.log import Log
from services.kit.locallog.member import LogOffsets, Member
from services.kit.locallog.settings import LocalLogSettings

_READ = 5000
"""Records a read takes between two turns of the event loop."""
_READ_BYTES = 8 * 1024 * 1024


class LocalLog:
    """A Bus in `directory`, which is made when it is missing.

    `topics` are all topics, dead-letter topics too. `offsets_in` names the log where a group commits (by default one named
    after the group). `schemas` gives SQL for a caller's own tables in a log (see `Log`).
    """

    def __init__(
        self,
        directory: Path,
        topics: Mapping[str, TopicSpec],
        clock: Clock,
        *,
        offsets_in: Mapping[str, str] | None = None,
        schemas: Mapping[str, str] | None = None,
        settings: LocalLogSettings | None = None,
    ) -> None:
        self._directory, self._topics, self._clock = directory, dict(topics), clock
        self._offsets_in, self._schemas = dict(offsets_in or {}), dict(schemas or {})
        self._settings = settings or LocalLogSettings()
        self._logs: dict[str, Log] = {}
        self._commits: dict[str, GroupCommit[Sequence[Outgoing], None]] = {}
        self._members: list[Member] = []
        self._closed = False

    # -- publishing

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Records of one log are durable together, or not at all."""
        by_log: dict[str, list[Outgoing]] = {}
        for record in records:
            by_log.setdefault(self._topic(record.topic).log, []).append(record)
        check_sizes(records, self._topics)
        futures = [self._group_commit(name).submit(part, len(part)) for name, part in by_log.items()]
        failed = [error for error in await asyncio.gather(*futures, return_exceptions=True) if error is not None]
        if failed:
            raise failed[0]

    def _group_commit(self, name: str) -> GroupCommit[Sequence[Outgoing], None]:
        if self._closed:
            raise BusDown("closed")
        commit = self._commits.get(name)
        if commit is None:
            log = self.log(name)

            def append(batches: Sequence[Sequence[Outgoing]]) -> Sequence[None]:
                with log.transaction() as transaction:
                    transaction.append(record for batch in batches for record in batch)
                return [None] * len(batches)

            settings = self._settings
            commit = GroupCommit(append, linger=settings.linger, full=settings.group, bound=settings.queue)
            self._commits[name] = commit
        return commit

    # -- consuming

    async def consume(self, topics: Sequence[str], group: str, consumer: Consumer, stop: Callable[[], bool]) -> None:
        """Raises ValueError when the topics differ in their number of partitions: such are consumed apart."""
        specs = [self._topic(name) for name in topics]
        if len({spec.partitions for spec in specs}) != 1:
            raise ValueError(f"{group}: topics with different numbers of partitions are consumed apart: {list(topics)}")
        for name in topics:
            self._topic(dead_letter_topic(name))
        offsets = self._offsets_in.get(group, group)
        # A group may consume several sets of topics: each set is shared out by itself.
        seat = f"{group}: {' '.join(sorted(topics))}"
        self._directory.mkdir(parents=True, exist_ok=True)
        member = Member(
            group=group,
            topics=specs,
            logs={spec.log: self.log(spec.log) for spec in specs},
            offsets=LogOffsets(group, topics, self.log(offsets), frozenset(self.topics_in(offsets))),
            publish=self.publish,
            membership=Membership(self._directory / "groups.db", seat, self._clock, self._settings.session),
            consumer=consumer,
            stop=stop,
            clock=self._clock,
            settings=self._settings,
        )
        self._members.append(member)
        try:
            await member.run()
        finally:
            self._members.remove(member)

    @property
    def paused(self) -> Sequence[str]:
        return [member.delivery.group for member in self._members if member.delivery.paused]

    def resume(self) -> None:
        for member in self._members:
            member.delivery.paused = False

    # -- reading without a group

    async def read(self, topic: str) -> Sequence[Record]:
        return [record async for batch in self.batches(topic) for record in batch]

    async def batches(self, topic: str) -> AsyncIterator[Sequence[Record]]:
        log, start = self.log(self._topic(topic).log), 0
        while True:
            records, next_ = log.scan(start, None, {topic: None}, _READ, _READ_BYTES)
            if next_ == start:
                return
            if records:
                yield records
            start = next_
            await asyncio.sleep(0)

    async def follow(self, topic: str, after: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
        spec = self._topic(topic)
        log = self.log(spec.log)
        positions = [after.get(partition, -1) + 1 for partition in range(spec.partitions)]
        start = min(positions)
        while True:
            records, next_ = log.scan(start, None, {topic: None}, self._settings.batch_records, self._settings.batch_bytes)
            news = [record for record in records if record.offset >= positions[record.partition]]
            if news:
                yield news
            await asyncio.sleep(0 if next_ != start else self._settings.idle)
            start = next_

    async def end_offsets(self, topic: str) -> Mapping[int, int]:
        return dict(enumerate(self.log(self._topic(topic).log).ends(topic)))

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        connection = self.log(self._offsets_in.get(group, group)).active()
        found = committed(connection, group, [topic]) if connection else {}
        return {partition: next_ for (_, partition), next_ in found.items()}

    # -- care

    @property
    def logs(self) -> frozenset[str]:
        """The names of the logs that hold topics."""
        return frozenset(spec.log for spec in self._topics.values())

    def topics_in(self, log: str) -> Sequence[str]:
        """The topics that a log holds."""
        return [spec.name for spec in self._topics.values() if spec.log == log]

    def holds(self, topic: str) -> bool:
        return topic in self._topics

    def log(self, name: str) -> Log:
        """The log of that name: for transactions and look-ups of its owner's."""
        log = self._logs.get(name)
        if log is None:
            log = self._logs[name] = Log(
                self._directory / name,
                {spec.name: spec for spec in self._topics.values() if spec.log == name},
                self._clock,
                segment_bytes=self._settings.segment_bytes,
                schema=self._schemas.get(name, ""),
            )
        return log

    async def tidy(self, logs: Collection[str]) -> None:
        """Trims or compacts these logs, as their topics are kept. The owner of a log calls it from time to time."""
        for name in logs:
            log = self.log(name)
            if any(spec.log == name and spec.kept is None for spec in self._topics.values()):
                await log.compact()
            else:
                log.trim()

    def erase(self, topic: str, key: str) -> None:
        """Overwrites what a topic holds under a key (a person's dead letters)."""
        self.log(self._topic(topic).log).erase(topic, key)

    async def close(self) -> None:
        """Stops taking records, commits what waits, closes the files. Consumers are to be stopped before."""
        self._closed = True
        for commit in self._commits.values():
            commit.close()
        for log in self._logs.values():
            log.close()

    def _topic(self, name: str) -> TopicSpec:
        try:
            return self._topics[name]
        except KeyError:
            raise ValueError(f"no topic {name!r}") from None
