"""The ground floor: settings, database, accounts, sessions, audit, outbox and web; it never imports upwards."""
