"""Every setting of every process, read once from the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _either(name: str) -> AliasChoices:
    return AliasChoices(f"HOITHI_{name}", name)


def _json_object(text: str) -> str:
    if not isinstance(json.loads(text), dict):
        raise ValueError("not a JSON object")
    return text


class Settings(BaseSettings):
    """Names are `HOITHI_<FIELD>`; `PORT`, `DATA_DIR`, `PUBLIC_URL` and `SMTP_URL` may stand without the prefix."""

    model_config = SettingsConfigDict(env_prefix="HOITHI_", populate_by_name=True, extra="ignore")

    port: Annotated[int, Field(validation_alias=_either("PORT"), ge=0, le=65535)] = 8000
    """The only fixed port: all pages and the API."""

    host: str = "0.0.0.0"  # noqa: S104 - phones on the same network open the page
    """The address to listen on."""

    data_dir: Annotated[Path, Field(validation_alias=_either("DATA_DIR"))] = Path("data")
    """All that is kept: the log, the store, secrets, what runs."""

    public_url: Annotated[str | None, Field(validation_alias=_either("PUBLIC_URL"))] = None
    """How phones reach the pages; without it, this machine's address on its network."""

    frame_ancestors: Annotated[str, Field(pattern=r"^[^;,\r\n]+$")] = "*"
    """Which sites may show the portal's widget in a frame, as CSP writes it (`https://haiphong.gov.vn https://*.edu.vn`); every
    other page is shown in none."""

    bus: Annotated[str, Field(pattern=r"^(local|kafka://[^/]+)$")] = "local"
    """`local`: the local log under `data_dir`. `kafka://host:port,host:port`: Apache Kafka."""

    ack: Literal["journal", "kafka"] = "journal"
    """What a submission's reply waits for: this host's journal alone, or the brokers too (no longer than `ack_ms`)."""

    ack_ms: Annotated[int, Field(ge=1)] = 2000
    """How long `ack=kafka` waits, in milliseconds; past it the journal's word stands."""

    journal_hours: Annotated[float, Field(ge=0)] = 90 * 24
    """With Kafka: how long this host keeps submissions that the brokers hold; so long a repeat gets the same receipt, and the
    audit sees it."""

    kafka_prefix: str = ""
    """Stands before the name of every topic and group: several installations may share brokers."""

    kafka_user: str | None = None
    """Who we are to the brokers (SASL); without it nobody is asked."""

    kafka_password: SecretStr = SecretStr("")

    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"

    kafka_tls: bool = False
    """Whether the way to the brokers is encrypted."""

    kafka_ca: Path | None = None
    """PEM file of the authority that signed the brokers' certificates; without it, the system's authorities."""

    store: str | None = None
    """A MongoDB URL; without it, the store that the supervisor started (its address is in `data_dir`/run/store.url)."""

    driver: Literal["motor", "pymongo"] = "motor"
    """Which driver speaks to the store; both pass the same suite."""

    smtp_url: Annotated[str | None, Field(validation_alias=_either("SMTP_URL"))] = None
    """`smtp://user:password@host:port` or `smtps://…`; without it messages wait in the outbox."""

    mail_from: str = "Hội Thi <khong-tra-loi@localhost>"
    """The sender of e-mails."""

    sms_url: str | None = None
    """Where an SMS gateway takes one message as one JSON object (POST); without it SMS wait in the outbox."""

    sms_key: SecretStr = SecretStr("")
    """Sent as `Authorization: Bearer …`; also fills `{key}` in `sms_body`."""

    sms_sender: str = ""
    """Fills `{sender}` in `sms_body`: the registered brand name."""

    sms_body: Annotated[str, AfterValidator(_json_object)] = '{"to": "{to}", "text": "{text}", "from": "{sender}", "id": "{id}"}'
    """The gateway's JSON object, with `{to}`, `{text}`, `{sender}`, `{key}` and `{id}` in its texts."""

    sms_accepted: Annotated[str, Field(pattern=r"^$|^[^=]+=.+$")] = ""
    """What an answer 2xx must hold to be a yes, e.g. `CodeResult=100` (a dotted path and its value); empty: any does."""

    sms_idempotent: bool = False
    """Whether the gateway takes the same `Idempotency-Key` twice for one message: then nothing stays uncertain."""

    sms_accents: bool = False
    """Whether SMS keep their diacritics: then one holds 70 characters instead of 160."""

    sms_price: Annotated[int, Field(ge=0)] = 800
    """What one SMS costs, in đồng, for estimates."""

    zalo_url: str = "https://business.openapi.zalo.me/message/template"
    """Zalo's notification service (ZNS)."""

    zalo_token: SecretStr = SecretStr("")
    """The access token of the Official Account, good for about a day; without it or `zalo_refresh_token` Zalo messages wait."""

    zalo_app_id: str = ""
    """The app that is linked to the Official Account; with the next two, access tokens are renewed."""

    zalo_app_secret: SecretStr = SecretStr("")
    """That app's secret key."""

    zalo_refresh_token: SecretStr = SecretStr("")
    """The refresh token to begin with; it works once, the next ones are kept in the store. Another one begins anew."""

    zalo_oauth_url: str = "https://oauth.zaloapp.com/v4/oa/access_token"
    """Where access tokens are renewed."""

    zalo_template: str = ""
    """The id of the approved ZNS template."""

    zalo_data: Annotated[str, AfterValidator(_json_object)] = '{"noi_dung": "{text}", "lien_ket": "{lien_ket}"}'
    """The template's `template_data`, with the placeholders of reminders and `{text}` in its texts."""

    zalo_price: Annotated[int, Field(ge=0)] = 300
    """What one Zalo message costs, in đồng, for estimates."""

    webhook_url: str | None = None
    """Where reminders to units are posted, signed as Standard Webhooks say."""

    webhook_secret: SecretStr = SecretStr("")
    """The secret of that signature (`whsec_…`); without it nothing is posted."""

    gateway_timeout_s: Annotated[float, Field(gt=0, le=60)] = 20.0
    """How long a gateway of messages may take to answer, in seconds."""

    reminders_most: Annotated[int, Field(ge=0)] = 3
    """How many reminders a person gets in a contest, at most."""

    reminder_gap_h: Annotated[float, Field(ge=0)] = 48.0
    """How many hours lie between two reminders to a person, at least."""

    quiet_from: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "21:00"
    """When reminders stop in the evening, by the contest's clock."""

    quiet_until: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "07:00"
    """When they begin again; the same time as `quiet_from`: they never stop."""

    roster_days: Annotated[int, Field(ge=0)] = 90
    """How many days after a contest's last round its rosters are deleted, and addresses and words from its messages."""

    report_days: Annotated[int, Field(ge=1)] = 30
    """How many days after a report was asked for its file is deleted; asked for again, it is made anew with the same figures."""

    example: bool = True
    """Whether `make run` loads the example contest where there is none yet."""

    review_pace_ms: Annotated[int, Field(ge=0)] = 1500
    """Attempts faster than this, in milliseconds a question, wait for a person's look before a round is ranked; 0: none does."""

    review_people: Annotated[int, Field(ge=0)] = 6
    """So many people alike (one device, the same wrong answers, phone numbers in a row) wait for a person's look; 0: none do."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    commit_ms: Annotated[float, Field(gt=0, le=100)] = 5.0
    """How long a group commit waits for company, in milliseconds."""

    segment_mb: Annotated[int, Field(ge=1)] = 256
    """Size at which the local log begins a new file."""

    flush_ms: Annotated[int, Field(ge=10)] = 250
    """How often workers write the small documents that pages read, in milliseconds."""

    snapshot_s: Annotated[float, Field(gt=0)] = 10.0
    """How often workers write their whole state, in seconds."""

    @property
    def run_dir(self) -> Path:
        """Where running processes leave their pid and address."""
        return self.data_dir / "run"

    @property
    def store_url(self) -> str:
        """The address of the store. Raises FileNotFoundError while nothing runs."""
        return self.store or (self.run_dir / "store.url").read_text().strip()
