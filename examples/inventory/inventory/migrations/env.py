"""Alembic's way into the tenant history, see ``tenantapp.databases.histories.environment``."""

from tenantapp.databases.histories.environment import run_environment

run_environment("tenant")
