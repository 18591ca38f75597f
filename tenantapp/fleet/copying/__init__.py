"""Tenants' databases in another place: clones of tenants, moved tenants, and databases that become tenants."""
