"""SCIM 2.0 (RFC 7643, RFC 7644): accounts in a product that has such an endpoint."""
