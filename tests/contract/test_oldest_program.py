"""The user database expands under programs that run, and contracts when they run no more."""

from dataclasses import replace
from functools import partial

import pytest
from alembic import command

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.upgrading import upgrade_users
from tenantapp.databases.errors import MigrationFailed
from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.oldest_program import ProgramTooOld, oldest_program, refuse_old_program
from tenantapp.databases.histories.targets import user_target
from tenantapp.databases.histories.upgrading import current_revision, expand_user_database
from tenantapp.settings import Settings
from tests.contract.conftest import Fleet
from tests.newer_history import CONTRACTS, EXPANDS, EXPANDS_AGAIN, newer_history


def newer(fleet: Fleet, *revisions: str) -> Settings:
    """The settings of a newer version, whose history has these revisions more."""
    return replace(fleet.settings, migrations_user=newer_history(fleet.settings, fleet.directory / "newer", *revisions))


def test_older_programs_are_served_until_the_database_contracts(fleet: Fleet) -> None:
    old, database = fleet.migrated().settings, fleet.user_db
    new = newer(fleet, EXPANDS, CONTRACTS)

    revision, sentence = upgrade_users(new, contract=False)
    assert (revision, current_revision(database)) == (EXPANDS, EXPANDS)
    assert sentence.startswith(f" {CONTRACTS} is left for later. Run `tenantapp init --contract`")
    assert upgrade_users(new, contract=False) == (revision, sentence), "a second run changes nothing"
    refuse_old_program(old, database)
    with pytest.raises(MigrationFailed, match=EXPANDS):
        expand_user_database(old)

    assert upgrade_users(replace(new, migrations_transaction="revision"), contract=True) == (CONTRACTS, "")
    assert oldest_program(database) == CONTRACTS
    refuse_old_program(new, database)
    with pytest.raises(ProgramTooOld, match=f"which know its revision {CONTRACTS}"):
        refuse_old_program(old, database)

    run_command(user_target(new), partial(command.downgrade, revision=EXPANDS))
    assert oldest_program(database) is None
    refuse_old_program(old, database)


def test_what_a_version_needs_may_come_after_what_older_programs_cannot_do_without(fleet: Fleet) -> None:
    """Nobody knows whether those still run, so nothing is taken away before it is said."""
    new = newer(fleet.migrated(), EXPANDS, CONTRACTS, EXPANDS_AGAIN)
    with pytest.raises(CommandFailed, match=f"needs revision {EXPANDS_AGAIN} .* after {CONTRACTS}, .* know revision"):
        upgrade_users(new, contract=False)
    assert current_revision(fleet.user_db) == EXPANDS
    assert upgrade_users(new, contract=True) == (EXPANDS_AGAIN, "")
    assert oldest_program(fleet.user_db) == CONTRACTS


def test_a_new_database_has_everything_at_once(fleet: Fleet) -> None:
    new = newer(fleet, EXPANDS, CONTRACTS)
    assert oldest_program(fleet.user_db) is None, "nothing is there to ask"
    assert upgrade_users(new, contract=False) == (CONTRACTS, "")
    assert oldest_program(fleet.user_db) == CONTRACTS
