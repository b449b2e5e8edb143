"""Connectors: how accounts are made and removed in an instance's real user directory."""
