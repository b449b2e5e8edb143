"""A small product as a customer of yours may have it, made ready for accountable support access.

It has people of its own, is provisioned by SCIM 2.0, and is entered by OpenID Connect. Copy what you need.
"""
