"""The second factor: codes that change every 30 seconds (RFC 6238), and recovery codes for a lost phone."""

from __future__ import annotations

import base64
import hmac
import secrets
from datetime import datetime
from hashlib import blake2b, sha256

import pyotp
from cryptography.fernet import Fernet, InvalidToken

STEP = 30
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class Vault:
    """Keeps the secrets of second factors sealed with a key that is not in the store."""

    def __init__(self, key: bytes) -> None:
        self._box = Fernet(base64.urlsafe_b64encode(sha256(key).digest()))
        self._key = key

    def seal(self, secret: str) -> str:
        """What the store keeps."""
        return self._box.encrypt(secret.encode()).decode()

    def open(self, sealed: str | None) -> str | None:
        """The secret; None where there is none, or it was sealed with another key."""
        try:
            return self._box.decrypt(sealed.encode()).decode() if sealed else None
        except InvalidToken:
            return None

    def digest(self, recovery_code: str) -> str:
        """How a recovery code is kept."""
        text = "".join(c for c in recovery_code.lower() if c in _LETTERS)
        return blake2b(text.encode(), key=self._key[:32], digest_size=16, person=b"recovery").hexdigest()


def new_secret() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def new_recovery_codes() -> list[str]:
    """Codes that each open the account once: 50 bits, in two groups."""
    codes = ("".join(secrets.choice(_LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES))
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code is for: this one or a neighbour, as phones' clocks differ; None where it is wrong."""
    typed = "".join(c for c in code if c.isdigit())
    here, totp = int(now.timestamp()) // STEP, pyotp.TOTP(secret)
    for step in (here - 1, here, here + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), typed.encode()):
            return step
    return None


def address(secret: str, email: str) -> str:
    """The `otpauth://` address that the QR code holds."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name="Hội Thi")
