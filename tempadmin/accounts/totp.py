"""Time-based one-time passwords (RFC 6238): pure, with time as an argument."""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import Final

import pyotp

STEP_SECONDS: Final = 30
_SIX_ASCII_DIGITS = re.compile(r"[0-9]{6}", re.ASCII)


def new_seed() -> str:
    """Return a fresh seed of 160 bits, in Base32."""
    return pyotp.random_base32()


def step_at(now: datetime) -> int:
    """Return the time step that a moment lies in."""
    return int(now.timestamp()) // STEP_SECONDS


def looks_like_code(text: str) -> bool:
    """Tell whether the text is six ASCII digits; pyotp would take full-width ones too (S11, measured)."""
    return _SIX_ASCII_DIGITS.fullmatch(text) is not None


def matching_step(seed: str, code: str, now: datetime) -> int | None:
    """Return the time step that a code belongs to: the current one, the one before, or ``None`` (S10)."""
    if not looks_like_code(code):
        return None
    current = step_at(now)
    device = pyotp.TOTP(seed)
    for step in (current, current - 1):
        if hmac.compare_digest(device.generate_otp(step), code):
            return step
    return None


def code_at(seed: str, now: datetime) -> str:
    """Return the code that a device shows at a moment."""
    return pyotp.TOTP(seed).generate_otp(step_at(now))


def seconds_to_next_step(now: datetime) -> int:
    """Return in how many seconds the next code appears, from 1 to 30."""
    return STEP_SECONDS - int(now.timestamp()) % STEP_SECONDS


def enrolment_uri(seed: str, *, email: str, issuer: str) -> str:
    """Return the ``otpauth://`` address that authenticators read from a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=email, issuer_name=issuer)
