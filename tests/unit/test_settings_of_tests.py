"""Which settings of an ini file the tests of a domain run with."""

from pathlib import Path

import pytest

from tenantapp.settings import SettingsError
from tenantapp.testing.ini import domain_settings

INI = """
[app:main]
use = egg:tenantapp
tenantapp.domain = bookshop
migrations.tenant = bookshop:migrations
bookshop.currency = EUR
loans.most = 3
api.batch = 7
user_db.url = postgresql+psycopg2://production.example.org/users
servers.main = postgresql+psycopg2://production.example.org/
tenancy.secret = a secret of the production, which no test may use
files.storage = s3://production
backups.store = s3://backups
pyramid.includes = pyramid_debugtoolbar
"""


def test_they_are_those_of_the_domain_and_those_of_behaviour(tmp_path: Path) -> None:
    ini = tmp_path / "development.ini"
    ini.write_text(INI)
    assert domain_settings(ini) == {
        "tenantapp.domain": "bookshop",
        "migrations.tenant": "bookshop:migrations",
        "bookshop.currency": "EUR",
        "loans.most": "3",
        "api.batch": "7",
    }


def test_without_an_ini_file_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no file"):
        domain_settings(tmp_path / "development.ini")
