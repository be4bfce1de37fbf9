"""Who may do what on a cluster: TLS, a name and password for each service, and rights that follow from the topic table."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.events.topics import Topic

OUTSIDE = "outside"
"""Consumers that are not ours; their groups' names begin so."""
USERS = ("admin", "quiz", "scoring", "reporting", "notify", OUTSIDE)


@dataclass(frozen=True, order=True)
class Acl:
    """One right. `group` names are prefixes."""

    user: str
    operation: Literal["Read", "Write", "Describe"]
    kind: Literal["topic", "group"]
    name: str


def acls(topics: Iterable[Topic]) -> set[Acl]:
    """The rights of every user but admin: a topic's owner writes it, its readers read it and write its dead letters."""
    rights: set[Acl] = set()
    for topic in topics:
        rights |= {Acl(topic.owner, operation, "topic", topic.name) for operation in ("Write", "Describe")}
        for reader in topic.readers:
            rights |= {Acl(reader, operation, "topic", topic.name) for operation in ("Read", "Describe")}
            rights.add(Acl(reader, "Read", "group", reader))
            if reader != OUTSIDE:
                rights |= {Acl(reader, operation, "topic", topic.dlq) for operation in ("Write", "Describe")}
    return rights


def add_commands(rights: Iterable[Acl]) -> list[list[str]]:
    """The words for Kafka's own `kafka-acls --add`, as few calls as it takes: one a user, kind and set of operations."""
    by_resource: dict[tuple[str, str, str], set[str]] = {}
    for right in rights:
        by_resource.setdefault((right.user, right.kind, right.name), set()).add(right.operation)
    calls: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (user, kind, name), operations in sorted(by_resource.items()):
        calls.setdefault((user, kind, tuple(sorted(operations))), []).append(name)
    return [
        [
            "--add", "--force", "--allow-principal", f"User:{user}",
            *(word for operation in operations for word in ("--operation", operation)),
            *(word for name in names for word in (f"--{kind}", name)),
            *(("--resource-pattern-type", "prefixed") if kind == "group" else ()),
        ]
        for (user, kind, operations), names in calls.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Security:
    """A cluster's certificate and users, kept in `folder`."""

    folder: Path
    passwords: Mapping[str, str] = field(default_factory=lambda: {user: token_hex(16) for user in USERS})

    @property
    def certificate(self) -> Path:
        """The certificate in PEM, which is its own authority: what clients are given as `HOITHI_KAFKA_CA`."""
        return self.folder / "kafka.crt"

    def server(self) -> dict[str, str]:
        """The settings of a broker; makes the certificate where there is none yet."""
        if not self.certificate.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _make_certificate(self.certificate, self.folder / "kafka.pem")
        users = " ".join(f'user_{user}="{password}"' for user, password in self.passwords.items())
        login = _login("admin", self.passwords["admin"])
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": f"{login} {users};",
            "listener.name.controller.plain.sasl.jaas.config": f"{login} {users};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "kafka.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificate),
        }

    def client(self, user: str) -> dict[str, Any]:
        """What an aiokafka client is given to be this user."""
        return {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": user,
            "sasl_plain_password": self.passwords[user],
            "ssl_context": ssl.create_default_context(cafile=str(self.certificate)),
        }

    def tool(self, user: str) -> Path:
        """A file with what Kafka's own programs are given (`--command-config`) to be this user."""
        path = self.folder / f"{user}.properties"
        path.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
            f"sasl.jaas.config={_login(user, self.passwords[user])};\n"
            f"ssl.truststore.type=PEM\nssl.truststore.location={self.certificate}\n"
        )
        return path


def _login(user: str, password: str) -> str:
    return f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{user}" password="{password}"'


def _make_certificate(certificate: Path, keystore: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hoithi kafka")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(Encoding.PEM)
    certificate.write_bytes(pem)
    keystore.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
