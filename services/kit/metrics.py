"""Every metric of every process, by name. Nothing else makes one."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SUBMISSIONS = Counter("hoithi_submissions_total", "Submissions answered, by HTTP status.", ["status"])
COMMIT_SIZE = Histogram("hoithi_commit_records", "Records in one group commit.", ["log"], buckets=(1, 4, 16, 64, 256, 1024))
COMMIT_SECONDS = Histogram(
    "hoithi_commit_seconds",
    "Time of one group commit, fsync included.",
    ["log"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.05, 0.2, 1),
)
REQUESTS = Counter("hoithi_http_requests_total", "Requests but submissions, by HTTP status.", ["status"])
CONSUMED = Counter("hoithi_consumed_total", "Records handled, by consumer group and topic.", ["group", "topic"])
BATCH_SIZE = Histogram("hoithi_batch_records", "Records in one batch of a consumer.", ["group"], buckets=(1, 10, 100, 500, 1000))
DEAD_LETTERS = Counter("hoithi_dead_letters_total", "Records that went to a dead-letter topic.", ["topic"])
RETRIES = Counter("hoithi_retries_total", "Batches tried again after a transient fault.", ["group"])
RELAY_BACKLOG = Gauge("hoithi_relay_backlog_offsets", "Offsets of this host's logs that the brokers do not hold yet.", ["log"])
LAG = Gauge(
    "hoithi_lag_records",
    "Offsets from what a group has committed to the end.",
    ["group", "topic", "partition"],
)
OLDEST = Gauge("hoithi_oldest_unhandled_seconds", "Age of the oldest record that a group is working on or holds back.", ["group"])
BOARD_SECONDS = Histogram(
    "hoithi_receipt_to_board_seconds", "From receipt to the view that the board reads.", buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60)
)
STREAMS = Gauge("hoithi_streams", "Open server-sent event streams.")
MESSAGES = Counter("hoithi_messages_total", "Messages to people, by channel and outcome.", ["channel", "outcome"])
GATEWAY_OPEN = Gauge(
    "hoithi_gateway_open", "1 while a gateway of messages is left alone because it was away too often.", ["channel"]
)
