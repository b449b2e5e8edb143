"""Copies of the database, the way back to one, and what makes an older database safe to go on with."""
