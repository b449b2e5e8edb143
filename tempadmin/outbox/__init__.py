"""Mail that is written in the transaction that causes it, and delivered after that transaction."""
