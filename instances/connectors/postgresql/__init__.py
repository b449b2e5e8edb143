"""The connector of PostgreSQL servers: an account is a role."""
