"""Alembic's way into the user history, see ``tenantapp.databases.histories.environment``."""

from tenantapp.databases.histories.environment import run_environment

run_environment("user")
