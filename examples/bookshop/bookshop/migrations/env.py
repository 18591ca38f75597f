"""Alembic's way into the tenant history, see ``tenantapp.fleet.environment``."""

from tenantapp.fleet.environment import run_environment

run_environment("tenant")
