"""Who signs in: users, second factors, invitations, login sessions."""
