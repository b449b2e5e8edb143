"""OpenID Connect for products: who is inside, until when, and really whom (``docs/connect/openid.md``)."""
