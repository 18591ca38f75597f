"""A program that makes or upgrades the user database."""

import json

from tenantapp.databases.histories.upgrading import upgrade_user_database
from tenantapp.settings import read_settings


def main(values: str) -> int:
    """Print the revision that it has then."""
    print(upgrade_user_database(read_settings(json.loads(values), {})))
    return 0
