"""The picture that a new device reads, and the same as text."""

from __future__ import annotations

from markupsafe import Markup

from tempadmin.accounts import totp


def picture(seed: str, *, email: str, issuer: str) -> dict[str, object]:
    """Return the QR code (``qr``, inline SVG) and the secret in groups of four (``secret``)."""
    import segno  # noqa: PLC0415 - for who enrols a device: no other page draws

    uri = totp.enrolment_uri(seed, email=email, issuer=issuer)
    svg = segno.make(uri, error="m").svg_inline(scale=5, border=2, title="QR code for your authenticator")
    return {"qr": Markup(svg), "secret": " ".join(seed[at : at + 4] for at in range(0, len(seed), 4))}  # noqa: S704
