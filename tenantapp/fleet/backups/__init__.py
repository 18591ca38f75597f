"""Backups of tenants' databases, in the engine's own form, in a directory or in an object store."""
