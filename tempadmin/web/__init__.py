"""What every page shares: the host, who may see it, headers, errors, navigation."""
