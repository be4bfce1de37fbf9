"""`make kafka`, `make kafka-stop`, and the rights that a secured cluster is to give."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from cyclopts import App

from deploy.kafka.cluster import Cluster, KafkaMissing, fetch, java
from deploy.kafka.security import acls, add_commands
from services.events import TOPICS
from services.kit.settings import Settings

PORT = 9092
"""The first broker's; the others follow."""

app = App(name="python -m deploy.kafka", help="Apache Kafka trên máy này, để chạy thử.")


def folder() -> Path:
    """Where the brokers of this installation live."""
    return Settings().data_dir / "kafka"


@app.command(help="Khởi động 1 hoặc 3 máy chủ Kafka trên 127.0.0.1, cổng 9092 trở đi.")
def start(*, nodes: int = 1) -> int:
    cluster = Cluster.found(folder())
    if cluster.nodes and len(cluster.nodes) != nodes:
        print(f"{folder()} đang giữ một cụm {len(cluster.nodes)} máy: hãy dùng NODES={len(cluster.nodes)}, hoặc xoá thư mục đó.")
        return 1
    cluster = cluster if cluster.nodes else Cluster(folder(), range(PORT, PORT + nodes))
    if all(node.pid for node in cluster.nodes):
        print(f"Kafka đang chạy: {cluster.bootstrap}")
        return 0
    began = time.monotonic()
    cluster.start()
    print(f"Kafka đã sẵn sàng sau {time.monotonic() - began:.0f} giây: HOITHI_BUS=kafka://{cluster.bootstrap} make run")
    return 0


@app.command(help="Dừng những máy chủ Kafka đó.")
def stop() -> int:
    cluster = Cluster.found(folder())
    running = [node for node in cluster.nodes if node.pid]
    cluster.stop()
    print(f"Đã dừng {len(running)} máy chủ Kafka." if running else "Kafka không chạy.")
    return 0


@app.command(name="fetch", help="Chỉ tải Kafka về (build/kafka).")
def jars() -> None:
    fetch()


@app.command(name="acls", help="Cấp quyền theo bảng chủ đề trên một cụm có bảo mật (kafka-acls --add).")
def grant(*, bootstrap: str, command_config: Path) -> int:
    fetch()
    for words in add_commands(acls(TOPICS.values())):
        where = ("--bootstrap-server", bootstrap, "--command-config", str(command_config))
        done = subprocess.run(java("org.apache.kafka.tools.AclCommand", *where, *words), capture_output=True, text=True)
        if done.returncode or "Error" in done.stdout:
            print(done.stdout + done.stderr, file=sys.stderr)
            return 1
    return 0


def main() -> None:
    """Runs a command; what is missing on the machine is told in a sentence."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # A broker that is not up yet is no news.
    try:
        sys.exit(app())
    except (KafkaMissing, TimeoutError) as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
