"""What a product reads first: where everything is, and what is done here (OpenID Connect Discovery 1.0, RFC 8414)."""

from __future__ import annotations

from typing import Any

from tempadmin.web.context import InstanceInfo
from tickets.provider.claims import ALWAYS, IN_TOKENS, SCOPES

AUTHORIZE, TOKEN, USERINFO, JWKS, LOGOUT = (
    f"/oidc/{name}" for name in ("authorize", "token", "userinfo", "jwks", "logout")
)
SECRETS = ["client_secret_basic", "client_secret_post"]


def metadata(issuer: InstanceInfo) -> dict[str, Any]:
    """Return the document of one instance: each is its own issuer."""
    return {
        "issuer": issuer.url,
        "authorization_endpoint": issuer.url + AUTHORIZE,
        "token_endpoint": issuer.url + TOKEN,
        "userinfo_endpoint": issuer.url + USERINFO,
        "jwks_uri": issuer.url + JWKS,
        "end_session_endpoint": issuer.url + LOGOUT,
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": SECRETS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [*IN_TOKENS, *ALWAYS],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
