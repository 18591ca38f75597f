"""Settings fail early, with a sentence that names the one that is wrong."""

from typing import Any

import pytest

from tenantapp import main
from tenantapp.setting_types import choice
from tenantapp.settings import Setting, SettingsError, read_setting, read_settings

GOOD = {"user_db.url": "sqlite+pysqlite:////tmp/user.sqlite", "servers.main": "sqlite+pysqlite:////tmp/tenants/"}
OWN = {"tenantapp.domain": "wsgiref", "migrations.tenant": "wsgiref:migrations"}
POSTGRES = "postgresql+psycopg2://postgres@localhost/"
PGBOUNCER = "postgresql+psycopg2://127.0.0.1:6432/"
BEHIND = {"servers.eu": POSTGRES, "tenancy.secret": "s" * 40}


def test_defaults() -> None:
    settings = read_settings(GOOD, {})
    assert settings.session_idle_timeout == 1800
    assert settings.session_absolute_timeout == 28800
    assert settings.identity_registration == "closed"
    assert settings.tenantapp_domain == "tenantapp.workspace"
    assert settings.demo_enabled is False
    assert settings.backups_keep == {"daily": 7, "weekly": 4, "monthly": 12}
    assert list(settings.servers) == ["main"]
    assert settings.http_allowed_origins == frozenset()


def test_origins_are_exact() -> None:
    origins = "https://app.example.org http://localhost:5173 https://[::1]:8443 https://example.org:80"
    settings = read_settings(GOOD | {"http.allowed_origins": origins}, {})
    assert settings.http_allowed_origins == frozenset(origins.split())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (
            {"session.idle_timout": "60"},
            r"^setting session.idle_timout is unknown \(did you mean session.idle_timeout\?\)$",
        ),
        ({"session.idle_timeout": "an hour"}, "session.idle_timeout"),
        ({"tenancy.secret": "s" * 40, "tenancy.former_secret": "s" * 40}, "tenancy.former_secret must differ"),
        ({"tenancy.connection_limit": "0"}, "tenancy.connection_limit"),
        ({"session.idle_timeout": "5"}, "session.idle_timeout"),
        ({"session.idle_timeout": "inf"}, "session.idle_timeout"),
        ({"connections.timeout": "nan"}, "connections.timeout"),
        ({"connections.timeout": "0"}, "connections.timeout"),
        ({"connections.timeout": "1_0"}, "connections.timeout"),
        ({"session.idle_timeout": "6_00"}, "session.idle_timeout"),
        ({"session.idle_timeout": "\u0666\u0660\u0660"}, "session.idle_timeout"),
        ({"backups.keep": "daily \u0667"}, "backups.keep"),
        ({"identity.registration": "maybe"}, "identity.registration"),
        ({"demo.enabled": "perhaps"}, "demo.enabled"),
        ({"api.max_body": "-1"}, "api.max_body"),
        *(
            ({"http.allowed_origins": origin}, "http.allowed_origins must be origins like")
            for origin in (
                *("*", "null", "example.org", "https://*.example.org", "https://example.org/", "HTTPS://example.org"),
                *("https://Example.org", "https://example.org:443", "http://example.org:80", "ftp://example.org"),
                *("https://a.example, https://b.example", "https://user@example.org", "https://example.org:0"),
            )
        ),
        *(
            ({"mail.from": "a@b.example", "mail.url": url}, f"^setting mail.url {told}")
            for url, told in (
                ("mail.example", "must be like smtp://host:587"),
                ("http://mail.example", "must be like"),
                ("smtp://", "must be like"),
                ("smtp://mail.example/path", "must be like"),
                ("file://host/path", "must be like"),
                ("file:relative", "must be like"),
                ("smtp://mail.example:port", "is not a URL"),
                ("smtp://mail.example?tls=no", "has an option other than starttls=no"),
                ("smtps://mail.example?starttls=no", "has an option other than starttls=no"),
                ("smtp://shop@mail.example", "must have a user and a password, or neither"),
                ("smtp://shop:sesame@mail.example?starttls=no", "must not have both a password and starttls=no"),
            )
        ),
        ({"mail.url": "smtp://mail.example"}, "mail.from is missing"),
        ({"mail.from": "Shop"}, "mail.from must be like shop@example.com or Shop <shop@example.com>"),
        ({"mail.from": "Shop <shop@example.com"}, "mail.from must be like"),
        ({"backups.keep": "daily"}, "backups.keep must be like: daily 7"),
        ({"backups.keep": "hourly 3"}, "backups.keep"),
        ({"backups.keep": "daily 7,"}, "backups.keep"),
        ({"user_db.url": "nonsense"}, "user_db.url"),
        ({"user_db.url": "postgresql://localhost/x"}, "user_db.url"),
        ({"user_db.url": "sqlite+pysqlite://"}, "user_db.url"),
        ({"user_db.url": ""}, "user_db.url"),
        ({"user_db.url": POSTGRES}, "user_db.url"),
        ({"servers.main": "mysql://localhost"}, "servers.main"),
        ({"servers.Main": GOOD["servers.main"]}, "servers.Main"),
        ({"servers.eu": POSTGRES}, "tenancy.secret"),
        ({"servers.eu": POSTGRES, "tenancy.secret": "short"}, "tenancy.secret"),
        ({"pgbouncer.main": PGBOUNCER}, "pgbouncer.main needs a PostgreSQL server"),
        ({"pgbouncer.eu": PGBOUNCER}, "pgbouncer.eu needs a PostgreSQL server"),
        ({"user_db.pgbouncer": PGBOUNCER}, "user_db.pgbouncer needs a PostgreSQL server"),
        (BEHIND | {"pgbouncer.eu": "127.0.0.1:6432"}, "pgbouncer.eu"),
        (BEHIND | {"pgbouncer.eu": GOOD["servers.main"]}, "pgbouncer.eu must begin with"),
        (BEHIND | {"pgbouncer.eu": POSTGRES}, "pgbouncer.eu must name no role"),
        (BEHIND | {"pgbouncer.eu": f"{PGBOUNCER}acme"}, "pgbouncer.eu must name no role"),
        (BEHIND | {"pgbouncer.eu": f"{PGBOUNCER}?options=-csearch_path%3Dx"}, "pgbouncer.eu must have no options"),
        (BEHIND | {"pgbouncer.E U": PGBOUNCER}, "a server's name"),
        (BEHIND | {"pgbouncer.eu.extensions": "vector"}, "pgbouncer.eu.extensions: a server's name"),
        ({"servers.other.weight": "1"}, "servers.other.weight needs a server"),
        ({"servers.main.replicas": "db2"}, "servers.main.replicas needs a PostgreSQL server"),
        (BEHIND | {"servers.other.replicas": "db2"}, "servers.other.replicas needs a PostgreSQL server"),
        (BEHIND | {"servers.eu.replica_lag": "5"}, "servers.eu.replica_lag needs replicas"),
        (BEHIND | {"servers.eu.replicas": "db2", "servers.eu.replica_lag": "0"}, "servers.eu.replica_lag must be"),
        *(
            (BEHIND | {"servers.eu.replicas": value}, f"^setting servers.eu.replicas {told}")
            for value, told in (
                ("", "must have an address"),
                ("db2:0", "must be like db2.example.org:5432"),
                ("db2:99999", "must be like"),
                ("postgresql+psycopg2://db2/", "must be like"),
                ("db2, db3", "must be like"),
                ("db2 db2", "must name each address once"),
            )
        ),
        ({"servers.main.weight": "much"}, "servers.main.weight must be a number of shares from 0 to 1000"),
        ({"servers.main.extensions": "vector"}, "servers.main.extensions needs a PostgreSQL server"),
        (BEHIND | {"servers.other.extensions": "vector"}, "servers.other.extensions needs a PostgreSQL server"),
        *(
            (BEHIND | {"servers.eu.extensions": value}, f"^setting servers.eu.extensions must name {told}")
            for value, told in (
                ("", "extensions of PostgreSQL"),
                ("vector postgis", "extensions of PostgreSQL, such as vector, postgis; 'vector postgis' is none"),
                ("vector,", "extensions of PostgreSQL"),
                ('x"; DROP', "extensions of PostgreSQL"),
                ("vector, vector", "each extension once"),
            )
        ),
        ({"servers.main.archive": "pgbackrest:main"}, "servers.main.archive needs a PostgreSQL server"),
        (BEHIND | {"servers.us.archive": "pgbackrest:main"}, "servers.us.archive needs a PostgreSQL server"),
        (BEHIND | {"servers.eu.archive": "barman:main"}, "servers.eu.archive must be pgbackrest: and the name of"),
        (BEHIND | {"servers.eu.archive": "pgbackrest:--set=x"}, "servers.eu.archive must be pgbackrest: and the"),
        ({"tenantapp.domain": ""}, "tenantapp.domain"),
        ({"tenantapp.domain": "no_such_package"}, "tenantapp.domain"),
        ({"tenantapp.domain": "no.such.package"}, "tenantapp.domain"),
        (
            {"tenantapp.domain": "wsgiref, xmlrpc"},
            "tenantapp.domain must name one package, .* wsgiref and xmlrpc: a tenant",
        ),
        ({"http.allowed_host": "x"}, "http.allowed_host is unknown .did you mean http.allowed_hosts"),
        ({"tenantapp.domain": "wsgiref"}, "migrations.tenant is missing: .* of wsgiref"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(GOOD | values, {})


@pytest.mark.parametrize("missing", ["user_db.url", "servers.main"])
def test_a_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        read_settings({name: value for name, value in GOOD.items() if name != missing}, {})


def test_secrets_are_not_in_the_message() -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings(GOOD | {"user_db.url": "mysql://root:hunter2@localhost/x"}, {})
    assert "hunter2" not in str(raised.value)


def test_the_environment_takes_precedence() -> None:
    settings = read_settings(
        GOOD,
        {
            "TENANTAPP_SESSION_IDLE_TIMEOUT": "600",
            "TENANTAPP_SERVERS_EU": POSTGRES,
            "TENANTAPP_PGBOUNCER_EU": PGBOUNCER,
            "TENANTAPP_SERVERS_EU_EXTENSIONS": "vector, uuid-ossp",
            "TENANTAPP_SERVERS_EU_REPLICAS": "db2:5433 [2001:db8::2] /run/postgresql",
            "TENANTAPP_SERVERS_EU_REPLICA_LAG": "2.5",
            "TENANTAPP_TENANCY_SECRET": BEHIND["tenancy.secret"],
            "TENANTAPP_INI": "x.ini",
            "OTHER": "x",
        },
    )
    assert settings.session_idle_timeout == 600
    assert set(settings.servers) == {"main", "eu"}
    assert str(settings.pgbouncers["eu"]) == PGBOUNCER
    assert settings.extensions == {"eu": ("vector", "uuid-ossp")}
    assert settings.replicas == {"eu": (("db2", 5433), ("2001:db8::2", None), ("/run/postgresql", None))}
    assert [str(address) for address in settings.replicas["eu"]] == ["db2:5433", "[2001:db8::2]", "/run/postgresql"]
    assert settings.replica_lags == {"eu": 2.5}


def test_an_unknown_variable_is_named() -> None:
    named = "TENANTAPP_SESION_IDLE_TIMEOUT names no setting .did you mean TENANTAPP_SESSION_IDLE_TIMEOUT"
    with pytest.raises(SettingsError, match=named):
        read_settings(GOOD, {"TENANTAPP_SESION_IDLE_TIMEOUT": "1"})
    with pytest.raises(SettingsError, match=r"^environment variable TENANTAPP_X names no setting$"):
        read_settings(GOOD, {"TENANTAPP_X": "1"})


def test_settings_of_the_domain_and_of_libraries_pass() -> None:
    read_settings(GOOD | OWN | {"wsgiref.currency": "EUR", "retry.attempts": "3"}, {})


def test_a_setting_of_the_domain() -> None:
    setting = Setting("wsgiref.currency", choice("EUR", "USD"), "EUR", "the currency that prices are in")
    variable = {"TENANTAPP_WSGIREF_CURRENCY": " USD "}
    assert read_setting(setting, {}, {}) == "EUR"
    assert read_setting(setting, {"wsgiref.currency": "EUR"}, variable) == "USD"
    with pytest.raises(SettingsError, match=r"^setting wsgiref\.currency must be one of: EUR, USD$"):
        read_setting(setting, {"wsgiref.currency": "euro"}, {})
    read_settings(GOOD | OWN, variable)
    with pytest.raises(SettingsError, match="TENANTAPP_WSGIREV_CURRENCY"):
        read_settings(GOOD, {"TENANTAPP_WSGIREV_CURRENCY": "USD"})


def test_a_wrong_setting_of_the_domain_ends_start_up_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    def includeme(config: Any) -> None:
        config.add_setting("tenantapp.workspace.size", choice("s", "m"), None, "the size")

    monkeypatch.setattr("tenantapp.workspace.includeme", includeme)
    with pytest.raises(SystemExit, match=r"^tenantapp: setting tenantapp\.workspace\.size must be one of: s, m\.$"):
        main({}, **GOOD, **{"tenantapp.workspace.size": "xl"})


@pytest.mark.parametrize("budget", ["0", "-1", "1.5", "many"])
def test_a_budget_that_serves_nobody_is_refused(budget: str) -> None:
    with pytest.raises(SettingsError, match=r"connections\.budget"):
        read_settings(GOOD | {"connections.budget": budget}, {})


def test_start_up_ends_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = GOOD | {"no.such": "x"}
    with pytest.raises(SystemExit) as raised:
        main({}, **settings)
    assert str(raised.value) == "tenantapp: setting no.such is unknown."


def test_the_sender_of_mail_may_have_a_name_and_the_password_is_not_shown() -> None:
    url = "smtp://shop:sesame@mail.example"
    for sender, name in (('"Shop, Inc." <Shop@Example.com>', "Shop, Inc."), ("Shop@Example.com", "")):
        settings = read_settings(GOOD | {"mail.url": url, "mail.from": sender}, {})
        assert settings.mail_from == (name, "Shop@example.com")
        assert "sesame" not in repr(settings)
