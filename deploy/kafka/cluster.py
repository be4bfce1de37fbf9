"""A real Apache Kafka (KRaft, combined mode) on loopback: one broker or three, from the jars that Maven brought.

Each node has a folder with its settings, data, log and pid. Nodes are daemons: they outlive the command that started them, and
`stop` ends those whose pid is still theirs and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import stamina
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.kafka.security import Security

ROOT = Path(__file__).parents[2]
LIBS = ROOT / "build" / "kafka" / "libs"
POM = Path(__file__).with_name("pom.xml")
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.showDateTime=true")
START_SECONDS = 60.0
FETCHES = 3


class KafkaMissing(Exception):
    """What Kafka needs is not on this machine; the text says what to do."""


def fetch(libs: Path = LIBS) -> None:
    """Brings the jars from Maven Central, once for each pom.xml, whoever else is at it; tries again where that fails. Raises
    KafkaMissing."""
    stamp = libs.parent / "pom.xml"
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_bytes() == POM.read_bytes():
            return
        check_tools()
        for attempt in stamina.retry_context(on=KafkaMissing, attempts=FETCHES, wait_initial=2.0):
            with attempt:
                _download(libs, again=attempt.num > 1)
        shutil.copyfile(POM, stamp)


def _download(libs: Path, *, again: bool) -> None:
    """All jars, or none. `again` trusts nothing that Maven keeps of earlier downloads: it may be what was broken."""
    new, repository = libs.with_name("libs.new"), libs.with_name("repository")
    for folder in (new, repository):
        shutil.rmtree(folder, ignore_errors=True)
    words = ["dependency:copy-dependencies", f"-DoutputDirectory={new}", "-DincludeScope=runtime"]
    words += [f"-Dmaven.repo.local={repository}"] if again else []
    done = subprocess.run(["mvn", "-B", "-e", "-f", str(POM), *words], capture_output=True, text=True)
    shutil.rmtree(repository, ignore_errors=True)
    if done.returncode:
        told = "\n".join(line for line in done.stdout.splitlines() if "ERROR" in line or "Caused by" in line)
        raise KafkaMissing(f"Không tải được Apache Kafka từ Maven Central (Maven could not fetch it):\n{told[-2000:]}")
    shutil.rmtree(libs, ignore_errors=True)
    new.rename(libs)


def check_tools() -> None:
    """Raises KafkaMissing where Java or Maven is not to be found."""
    for tool, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(tool) is None:
            raise KafkaMissing(
                f"Thiếu {tool}: Apache Kafka cần Java 17 và Maven (Debian: apt install {package}).\n"
                f"{tool} is missing: Apache Kafka takes Java 17 and Maven (Debian: apt install {package})."
            )


def java(main: str, *words: str) -> list[str]:
    """The command line of one of Kafka's programs."""
    return ["java", *JAVA_OPTIONS, "-cp", f"{LIBS}/*", main, *words]


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, below those that the kernel hands out: while a broker is down, a client that
    tries to reach it could else be given the broker's own port."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free port between 20000 and 32000")


@dataclass(frozen=True)
class Node:
    """One broker, which is a controller too. `number` counts from 0."""

    number: int
    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "server.properties"

    @property
    def pid(self) -> int | None:
        """Its pid while it runs."""
        try:
            pid = int((self.folder / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
        return pid if str(self.settings) in shown else None

    def start(self) -> None:
        """Starts it, unless it runs."""
        if self.pid is None:
            with (self.folder / "kafka.log").open("ab") as log:
                command = java("kafka.Kafka", str(self.settings))
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            (self.folder / "pid").write_text(str(process.pid))

    def signal(self, number: int) -> None:
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)

    def wait_ended(self, seconds: float) -> None:
        """Waits until it is gone, and past `seconds` makes it go."""
        until = time.monotonic() + seconds
        while (pid := self.pid) is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


class Cluster:
    """Brokers under `folder`. `ports` are those for clients, one a node; what was formatted before keeps its own."""

    def __init__(self, folder: Path, ports: Sequence[int], security: Security | None = None) -> None:
        self.folder, self._ports, self.security = folder.resolve(), list(ports), security
        self.nodes = [Node(number, self.folder / f"node-{number}") for number in range(len(ports))]

    @classmethod
    def found(cls, folder: Path) -> Cluster:
        """The one that was started in `folder` before, with as many nodes as it had."""
        ports = [_port_of(path) for path in sorted(folder.resolve().glob("node-*/server.properties"))]
        return cls(folder, ports)

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def start(self) -> None:
        """Returns when all nodes are up and know one another. Raises KafkaMissing, or TimeoutError."""
        fetch()
        if not self.nodes[0].settings.exists():
            self._format()
        for node in self.nodes:
            node.start()
        self.wait_ready()

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Returns when every node that is configured answers. Raises TimeoutError."""
        asyncio.run(self._all_answer(seconds))

    def stop(self) -> None:
        """Ends all nodes in order."""
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            node.wait_ended(20)

    def kill(self, number: int) -> None:
        """SIGKILL to one node."""
        self.nodes[number].signal(signal.SIGKILL)
        self.nodes[number].wait_ended(5)

    async def _all_answer(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while True:
                if any(node.pid is None for node in self.nodes):
                    raise TimeoutError(f"a broker ended by itself; see {self.folder}/node-*/kafka.log")
                with contextlib.suppress(KafkaError, OSError):
                    if await self._brokers() == len(self.nodes):
                        return
                await asyncio.sleep(0.2)

    async def _brokers(self) -> int:
        options = self.security.client("admin") if self.security else {}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000, **options)
        try:
            await admin.start()
            return len((await admin.describe_cluster())["brokers"])
        finally:
            await admin.close()

    def _format(self) -> None:
        # A leading "-" would be taken for an option.
        id = base64.urlsafe_b64encode(b"\x1c" + os.urandom(15)).rstrip(b"=").decode()
        controllers = free_ports(len(self.nodes))
        voters = ",".join(f"{number + 1}@127.0.0.1:{port}" for number, port in enumerate(controllers))
        for node, port, controller in zip(self.nodes, self._ports, controllers, strict=True):
            node.folder.mkdir(parents=True, exist_ok=True)
            settings = self._settings(node, port, controller, voters)
            node.settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
            command = java("kafka.tools.StorageTool", "format", "-t", id, "-c", str(node.settings))
            subprocess.run(command, capture_output=True, check=True)

    def _settings(self, node: Node, port: int, controller: int, voters: str) -> dict[str, str]:
        copies = len(self.nodes)
        protocol = "SASL_SSL" if self.security else "PLAINTEXT"
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(node.number + 1),
            "controller.quorum.voters": voters,
            "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
            "listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:{protocol}",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(node.folder / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": str(copies),
            "min.insync.replicas": str(max(1, copies - 1)),
            "offsets.topic.replication.factor": str(copies),
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": str(copies),
            "transaction.state.log.min.isr": str(max(1, copies - 1)),
            "share.coordinator.state.topic.replication.factor": str(copies),
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "4",
        }
        return settings | (self.security.server() if self.security else {})


def _port_of(settings: Path) -> int:
    listeners = next(line for line in settings.read_text().splitlines() if line.startswith("listeners="))
    return int(listeners.partition("CLIENT://127.0.0.1:")[2].partition(",")[0])
