"""The local log: an append-only event log in SQLite files, with topics, partitions, keys, consumer groups and offsets."""

from services.kit.locallog.bus import LocalLog
from services.kit.locallog.commit import GroupCommit
from services.kit.locallog.log import Log, Transaction
from services.kit.locallog.settings import LocalLogSettings

__all__ = ["GroupCommit", "LocalLog", "LocalLogSettings", "Log", "Transaction"]
