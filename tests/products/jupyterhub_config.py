"""JupyterHub with oauthenticator as the product of an instance: who comes in, and as what, says the provider alone."""

from __future__ import annotations

import os
from typing import Any

ISSUER, PORT = os.environ["ISSUER"], os.environ["PORT"]

c: Any = get_config()  # type: ignore[name-defined]  # noqa: F821 - traitlets gives it to files of settings

c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT}"
c.JupyterHub.hub_port = int(os.environ["HUB_PORT"])
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.redirect_to_server = False
c.ConfigurableHTTPProxy.command = os.environ["PROXY"]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['PROXY_API_PORT']}"

c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = os.environ["CLIENT_ID"]
c.GenericOAuthenticator.client_secret = os.environ["CLIENT_SECRET"]
c.GenericOAuthenticator.authorize_url = f"{ISSUER}/oidc/authorize"
c.GenericOAuthenticator.token_url = f"{ISSUER}/oidc/token"
c.GenericOAuthenticator.userdata_url = f"{ISSUER}/oidc/userinfo"
c.GenericOAuthenticator.oauth_callback_url = f"http://localhost:{PORT}/hub/oauth_callback"
c.GenericOAuthenticator.logout_redirect_url = f"{ISSUER}/oidc/logout"
c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
c.GenericOAuthenticator.username_claim = "preferred_username"

# Administrator by the claim `groups`, and nobody who is in no group.
c.GenericOAuthenticator.manage_groups = True
c.GenericOAuthenticator.auth_state_groups_key = "oauth_user.groups"
c.GenericOAuthenticator.admin_groups = {"administrators"}
c.GenericOAuthenticator.allowed_groups = {"administrators"}

# It knows no back-channel logout. Instead it can ask the provider again who somebody is, which the end of the access
# answers with 401: then this hub signs them out.
c.Authenticator.enable_auth_state = True
c.Authenticator.auth_refresh_age = 1
