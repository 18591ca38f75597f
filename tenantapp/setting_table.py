"""The settings, each declared once: attribute, type, name, parser, default and help.

Long: one table, in which a setting is found by its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import time
from typing import TYPE_CHECKING, Any, Final

from tenantapp.setting_types import (
    audit_stream,
    choice,
    dns_servers,
    flag,
    hosts,
    listening,
    mail_url,
    mailbox,
    media_types,
    number,
    origins,
    package,
    pgbouncer_url,
    rates,
    redis_url,
    retention,
    secret,
    signing_secret,
    text,
    time_of_day,
    traces_address,
    user_database_url,
    web_address,
)

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from sqlalchemy.engine import URL

    from tenantapp.email_addresses import Mailbox
    from tenantapp.setting_types import Address, ArchiveName, Rate

BUNDLED_DOMAIN: Final = "tenantapp.workspace"
ENVIRONMENT_PREFIX: Final = "TENANTAPP_"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting: its name in the ini file, its parser, its default and its help.

    The default is text. None means that the setting has no value by default.
    """

    name: str
    parse: Callable[[str], Any]
    default: str | None
    help: str

    @property
    def attribute(self) -> str:
        return self.name.replace(".", "_")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.attribute.upper()


def setting(name: str, parse: Callable[[str], Any], default: str | None, help: str, *, repr: bool = True) -> Any:
    """Return a field of ``Settings`` for a setting. The parameters are those of ``Setting`` and of ``field``."""
    return field(repr=repr, metadata={"setting": Setting(name, parse, default, help)})


@dataclass(frozen=True, slots=True)
class Settings:
    """The parsed settings. The keys of the first seven, from ``servers`` to ``replica_lags``, are the names of servers.

    Times are in seconds, sizes in bytes, unless the help says otherwise.
    """

    servers: "Mapping[str, URL]"
    pgbouncers: "Mapping[str, URL]"
    extensions: Mapping[str, tuple[str, ...]]
    archives: "Mapping[str, ArchiveName]"
    weights: Mapping[str, float]
    replicas: "Mapping[str, tuple[Address, ...]]"
    replica_lags: Mapping[str, float]
    user_db_url: "URL" = setting("user_db.url", user_database_url, None, "URL of the user database; required")
    user_db_pgbouncer: "URL | None" = setting(
        "user_db.pgbouncer", pgbouncer_url, None, "URL of a PgBouncer between the application and the user database"
    )
    tenantapp_domain: str = setting(
        "tenantapp.domain", package, BUNDLED_DOMAIN, "package of the domain: its includeme and its models"
    )
    tenancy_secret: str | None = setting(
        "tenancy.secret",
        secret,
        None,
        "secret that the tenants' PostgreSQL passwords are derived from; required with PostgreSQL",
        repr=False,
    )
    tenancy_former_secret: str | None = setting(
        "tenancy.former_secret",
        secret,
        None,
        "the tenancy.secret before, while `tenantapp secrets rotate` replaces it",
        repr=False,
    )
    tenancy_connection_limit: int | None = setting(
        "tenancy.connection_limit",
        number(int, 1, 100_000, "connections"),
        None,
        "most connections of each tenant's PostgreSQL role, of all processes together; by default no limit",
    )
    identity_registration: str = setting(
        "identity.registration",
        choice("closed", "open", "tenant"),
        "closed",
        "whether people may register themselves: closed, open, or tenant: with a tenant of their own",
    )
    identity_operators_second_factor: bool = setting(
        "identity.operators_second_factor", flag, "false", "whether operators need a second factor to work on the fleet"
    )
    passwords_memory: int = setting(
        "passwords.memory",
        number(int, 8, 1048576, "KiB"),
        "19456",
        "memory for hashing a password, in KiB; less than 19456 is for tests",
    )
    passwords_breached: str | None = setting(
        "passwords.breached",
        text,
        None,
        "file of the filter of breached passwords, which `tenantapp passwords load` makes; by default there is none",
    )
    passkeys_names: str | None = setting(
        "passkeys.names",
        text,
        None,
        "JSON file with names of what makes passkeys, by AAGUID; by default there are none",
    )
    throttle_store: str | None = setting(
        "throttle.store",
        redis_url,
        None,
        "URL of a Redis that counts attempts to sign in, and requests; by default the user database, and each machine",
        repr=False,
    )
    throttle_per_address: int = setting(
        "throttle.per_address",
        number(int, 1, 1_000_000, "attempts"),
        "60",
        "failed sign-ins, and requests of each other kind, from one address in ten minutes after which it has to wait",
    )
    throttle_overall: int = setting(
        "throttle.overall",
        number(int, 1, 1_000_000, "attempts"),
        "600",
        "failed sign-ins, and requests of each other kind, in a minute after which all unknown devices have to wait",
    )
    limits_address: "tuple[Rate, ...]" = setting(
        "limits.address", rates, "none", "requests from one address, such as 600/minute; none: they are not limited"
    )
    limits_person: "tuple[Rate, ...]" = setting(
        "limits.person", rates, "none", "requests of one person, in all their sessions and with all their tokens"
    )
    limits_token: "tuple[Rate, ...]" = setting("limits.token", rates, "none", "requests with one API token")
    limits_tenant: "tuple[Rate, ...]" = setting("limits.tenant", rates, "none", "requests in one tenant")
    quotas_storage: int | None = setting(
        "quotas.storage",
        number(int, 1, 2**60, "bytes"),
        None,
        "most bytes of the database and the files of a tenant together; by default there is no bound",
    )
    quotas_connections: int | None = setting(
        "quotas.connections",
        number(int, 1, 100_000, "connections"),
        None,
        "most connections of all processes together to a tenant's database; by default only the budget bounds them",
    )
    shed_after: float = setting(
        "shed.after",
        number(float, 0, 3600, "seconds"),
        "10",
        "seconds in the queue of the server after which a request is not begun any more; 0: each is begun",
    )
    session_idle_timeout: int = setting(
        "session.idle_timeout",
        number(int, 120, 86400 * 30, "seconds"),
        "1800",
        "seconds without use after which a session ends",
    )
    session_absolute_timeout: int = setting(
        "session.absolute_timeout",
        number(int, 120, 86400 * 365, "seconds"),
        "28800",
        "seconds after which a session ends in any case",
    )
    session_fresh: int = setting(
        "session.fresh",
        number(int, 30, 86400, "seconds"),
        "600",
        "seconds for which a dangerous act does not ask the person to prove again who they are",
    )
    tokens_most_days: int = setting(
        "tokens.most_days",
        number(int, 1, 3660, "days"),
        "366",
        "most days that an API token works, or a token of a directory (SCIM)",
    )
    tokens_most: int = setting(
        "tokens.most", number(int, 1, 100_000, "tokens"), "100", "most API tokens of a person in a tenant"
    )
    service_accounts_most: int = setting(
        "service_accounts.most", number(int, 1, 100_000, "accounts"), "100", "most service accounts of a tenant"
    )
    invitations_most: int = setting(
        "invitations.most", number(int, 1, 100_000, "invitations"), "100", "most open invitations of a tenant"
    )
    connections_budget: int | None = setting(
        "connections.budget",
        number(int, 1, 100_000, "connections"),
        None,
        "most connections that a process opens to each server; by default its share of what the server allows",
    )
    connections_workers: int | None = setting(
        "connections.workers",
        number(int, 1, 1024, "processes"),
        None,
        "number of processes that share each server; by default as many as the web server has during a reload",
    )
    connections_timeout: float = setting(
        "connections.timeout", number(float, 0.1, 60, "seconds"), "2", "longest wait for a free connection, in seconds"
    )
    connections_slow: float = setting(
        "connections.slow",
        number(float, 0.05, 60, "seconds"),
        "1",
        "seconds of waiting for databases that make a request slow; slow requests hold at most all threads but one",
    )
    connections_deadline: float = setting(
        "connections.deadline",
        number(float, 0.1, 3600, "seconds"),
        "10",
        "longest wait of a request for one answer from a database, in seconds",
    )
    connections_probe: float = setting(
        "connections.probe",
        number(float, 0.05, 600, "seconds"),
        "2",
        "seconds between two attempts to reach a server that does not answer",
    )
    http_allowed_hosts: frozenset[str] | None = setting(
        "http.allowed_hosts", hosts, None, "hosts that requests may name, separated by spaces; by default all hosts"
    )
    http_allowed_origins: frozenset[str] = setting(
        "http.allowed_origins", origins, "", "origins whose pages may use the API, separated by spaces; by default none"
    )
    web_directory: str | None = setting(
        "web.directory", text, None, "directory of the built page; by default that of the package; none: no page"
    )
    web_address: str | None = setting(
        "web.address",
        web_address,
        None,
        "address of the page in the links of mails, such as https://app.example.com; by default that of the request",
    )
    api_max_body: int = setting(
        "api.max_body", number(int, 1024, 2**30, "bytes"), "1048576", "largest request body, in bytes"
    )
    api_batch: int = setting("api.batch", number(int, 1, 10_000, "parts"), "100", "most parts of a batch")
    api_batch_answer: int = setting(
        "api.batch_answer",
        number(int, 1024, 2**30, "bytes"),
        "5242880",
        "most bytes of all answers in a batch together",
    )
    api_batch_seconds: float = setting(
        "api.batch_seconds",
        number(float, 0.001, 3600, "seconds"),
        "10",
        "seconds after which a batch begins no further part, and fails",
    )
    api_import_max_body: int = setting(
        "api.import_max_body", number(int, 1024, 2**40, "bytes"), "104857600", "largest CSV file to import, in bytes"
    )
    api_import_rows: int = setting(
        "api.import_rows", number(int, 1, 1_000_000, "rows"), "100000", "most rows that one CSV file may add"
    )
    api_import_seconds: float = setting(
        "api.import_seconds",
        number(float, 0.001, 3600, "seconds"),
        "50",
        "seconds after which an import adds no further rows, and fails",
    )
    changes_keep: int = setting(
        "changes.keep",
        number(int, 1, 3650, "days"),
        "30",
        "days for which the changes of a tenant's rows are kept for clients that follow them",
    )
    idempotency_keep: int = setting(
        "idempotency.keep",
        number(int, 1, 720, "hours"),
        "24",
        "hours for which the answer to a request with an Idempotency-Key is kept",
    )
    idempotency_max_answer: int = setting(
        "idempotency.max_answer",
        number(int, 0, 2**30, "bytes"),
        "1048576",
        "largest answer that is kept for an Idempotency-Key, in bytes",
    )
    files_storage: str | None = setting(
        "files.storage",
        text,
        None,
        "storage for the files of tenants: a directory, or a URL for fsspec; by default none",
    )
    files_max_size: int = setting(
        "files.max_size", number(int, 1, 2**40, "bytes"), "104857600", "largest file that people may upload, in bytes"
    )
    files_most_bytes: int | None = setting(
        "files.most_bytes",
        number(int, 1, 2**50, "bytes"),
        None,
        "most that the files of one tenant may have together, in bytes; by default there is no bound",
    )
    files_types: frozenset[str] = setting(
        "files.types", media_types, "*/*", "media types that people may upload, separated by spaces, such as image/*"
    )
    cache_url: str | None = setting(
        "cache.url",
        redis_url,
        None,
        "URL of a Redis for what domains cache; by default the memory of each process",
        repr=False,
    )
    cache_memory: int = setting(
        "cache.memory",
        number(int, 65536, 2**34, "bytes"),
        "16777216",
        "most bytes that a process keeps in its memory for what domains cache; a tenant has at most a quarter",
    )
    metrics_listen: tuple[str, int] | None = setting(
        "metrics.listen",
        listening,
        None,
        "address and port on which Prometheus is answered, such as 127.0.0.1:9464; by default nothing is counted",
    )
    metrics_directory: str | None = setting(
        "metrics.directory",
        text,
        None,
        "directory in which the processes of this machine count together; by default in that for temporary files",
    )
    opentelemetry_endpoint: str | None = setting(
        "opentelemetry.endpoint",
        traces_address,
        None,
        "address of a collector for traces, such as http://127.0.0.1:4318; by default nothing is traced",
        repr=False,
    )
    opentelemetry_sample: float = setting(
        "opentelemetry.sample",
        number(float, 0, 1, "of the requests"),
        "0.1",
        "part of the requests that is traced; a request with a traceparent of a trusted proxy follows that",
    )
    migrations_user: str | None = setting(
        "migrations.user", text, None, "script location of the user history; by default the bundled one"
    )
    migrations_tenant: str | None = setting(
        "migrations.tenant", text, None, "script location of the tenant history; required for a domain of your own"
    )
    migrations_oldest: str | None = setting(
        "migrations.oldest", text, None, "oldest revision of a tenant database that is served; by default all are"
    )
    migrations_transaction: str = setting(
        "migrations.transaction",
        choice("history", "revision"),
        "history",
        "what a migration does in one transaction: history: all its revisions, or revision: each by itself",
    )
    migrations_lock_timeout: float = setting(
        "migrations.lock_timeout",
        number(float, 0.05, 60, "seconds"),
        "2",
        "how long a tenant's migration waits for a lock before it retries later, in seconds",
    )
    migrations_lock_attempts: int = setting(
        "migrations.lock_attempts",
        number(int, 1, 1000, "attempts"),
        "10",
        "how often a tenant's migration is tried while others hold a lock",
    )
    migrations_statement_timeout: float = setting(
        "migrations.statement_timeout",
        number(float, 1, 86400 * 7, "seconds"),
        "1800",
        "longest statement of a tenant's migration, in seconds",
    )
    migrations_wait: float = setting(
        "migrations.wait",
        number(float, 0.05, 3600, "seconds"),
        "60",
        "longest wait of a migration for other work on the same database, in seconds",
    )
    fleet_worker: int = setting(
        "fleet.worker", number(int, 0, 64, "jobs"), "0", "operations that a serving process works on at once; 0: none"
    )
    fleet_warm_databases: int = setting(
        "fleet.warm_databases",
        number(int, 0, 1000, "databases"),
        "0",
        "warm databases that a worker keeps ready on each server",
    )
    fleet_delete_grace: int = setting(
        "fleet.delete_grace",
        number(int, 0, 3650, "days"),
        "7",
        "days for which a deleted tenant and a replaced database are kept",
    )
    fleet_patience: float = setting(
        "fleet.patience",
        number(float, 0, 60, "seconds"),
        "1",
        "seconds that requests get to finish before their tenant's database is closed",
    )
    fleet_stalled: float = setting(
        "fleet.stalled",
        number(float, 1, 86400, "seconds"),
        "120",
        "seconds without progress after which a move by replication is given up",
    )
    fleet_compare_timeout: float = setting(
        "fleet.compare_timeout",
        number(float, 0, 86400, "seconds"),
        "10",
        "longest time that requests wait while a move by replication compares its copy, in seconds",
    )
    fleet_keep_operations: int = setting(
        "fleet.keep_operations",
        number(int, 1, 36500, "days"),
        "90",
        "days after which `tenantapp sweep` deletes a finished operation",
    )
    audit_keep: int = setting(
        "audit.keep",
        number(int, 0, 36500, "days"),
        "0",
        "days after which `tenantapp sweep` deletes an entry of the audit trail; 0: never",
    )
    usage_keep: int = setting(
        "usage.keep",
        number(int, 0, 36500, "days"),
        "90",
        "days for which is kept what each tenant has used in each hour; 0: it is not counted",
    )
    audit_stream: "SplitResult | None" = setting(
        "audit.stream",
        audit_stream,
        None,
        "where a worker sends the audit trail: an https:// address, or a server of syslog+tcp, +udp or +unix",
    )
    audit_stream_secret: str | None = setting(
        "audit.stream_secret",
        signing_secret,
        None,
        "secret that entries sent to an https:// address are signed with, as webhooks are: whsec_...",
        repr=False,
    )
    jobs_threads: int = setting(
        "jobs.threads",
        number(int, 1, 64, "threads"),
        "4",
        "tenants whose jobs a process of a worker works on at once",
    )
    jobs_timeout: float = setting(
        "jobs.timeout",
        number(float, 1, 86400, "seconds"),
        "300",
        "seconds that a job may take, unless its declaration says otherwise",
    )
    jobs_sweep: float = setting(
        "jobs.sweep",
        number(float, 60, 86400, "seconds"),
        "3600",
        "seconds after which a worker looks into each tenant for jobs that nobody has noted",
    )
    jobs_keep: int = setting(
        "jobs.keep", number(int, 0, 3650, "days"), "7", "days after which a job that is done or cancelled is removed"
    )
    mail_url: "SplitResult | None" = setting(
        "mail.url",
        mail_url,
        None,
        "server that mail is sent by: smtp://, smtps://, or file:/// for a directory; by default no mail is sent",
        repr=False,
    )
    mail_from: "Mailbox | None" = setting("mail.from", mailbox, None, "sender of mail; required with mail.url")
    mail_timeout: float = setting(
        "mail.timeout", number(float, 1, 600, "seconds"), "20", "seconds in which the mail server has to take a message"
    )
    dns_servers: tuple[tuple[str, int], ...] | None = setting(
        "dns.servers",
        dns_servers,
        None,
        "addresses of DNS servers that are asked for the records of domains; by default those of the machine",
    )
    dns_timeout: float = setting(
        "dns.timeout", number(float, 0.1, 30, "seconds"), "5", "seconds in which the DNS has to answer"
    )
    single_sign_on_allow_http: bool = setting(
        "single_sign_on.allow_http",
        flag,
        "false",
        "let identity providers have addresses that begin with http://, for development",
    )
    single_sign_on_allow_private: bool = setting(
        "single_sign_on.allow_private",
        flag,
        "false",
        "let identity providers have private and local addresses: administrators then reach the network of the server",
    )
    single_sign_on_timeout: float = setting(
        "single_sign_on.timeout",
        number(float, 0.1, 60, "seconds"),
        "5",
        "seconds in which an identity provider has to answer",
    )
    webhooks_allow_http: bool = setting(
        "webhooks.allow_http", flag, "false", "let webhooks have addresses that begin with http://, for development"
    )
    webhooks_allow_private: bool = setting(
        "webhooks.allow_private",
        flag,
        "false",
        "let webhooks have private and local addresses, for development: people then reach the network of the server",
    )
    webhooks_timeout: float = setting(
        "webhooks.timeout",
        number(float, 0.1, 120, "seconds"),
        "10",
        "seconds in which a receiver has to answer",
    )
    webhooks_attempts: int = setting(
        "webhooks.attempts", number(int, 1, 100, "attempts"), "12", "attempts after which a message is given up"
    )
    webhooks_give_up: float = setting(
        "webhooks.give_up",
        number(float, 0.01, 365, "days"),
        "3",
        "days of failures alone after which a webhook is switched off",
    )
    webhooks_keep: int = setting(
        "webhooks.keep", number(int, 1, 3650, "days"), "14", "days after which the record of a delivery is removed"
    )
    webhooks_most: int = setting("webhooks.most", number(int, 0, 1000, "webhooks"), "20", "most webhooks of a tenant")
    backups_store: str | None = setting(
        "backups.store", text, None, "store for backups: a directory, or a URL for fsspec"
    )
    bundles_max_row: int = setting(
        "bundles.max_row",
        number(int, 65536, 2**30, "bytes"),
        "16777216",
        "most bytes of a row in a bundle; memory for about eight such rows is needed",
    )
    bundles_max_expansion: int = setting(
        "bundles.max_expansion",
        number(int, 1, 100_000, "times"),
        "200",
        "most times that the content of a bundle may be larger than its file, if it is more than 64 MiB",
    )
    backups_keep: Mapping[str, int] = setting(
        "backups.keep", retention, "daily 7, weekly 4, monthly 12", "which of a tenant's backups are kept"
    )
    backups_keep_exports: int = setting(
        "backups.keep_exports",
        number(int, 1, 3650, "days"),
        "7",
        "days for which a tenant's administrators can fetch an export",
    )
    backups_rehearse: time | None = setting(
        "backups.rehearse",
        time_of_day,
        None,
        "time of day in UTC, such as 03:30, at which a worker tests the newest backup of a tenant; by default never",
    )
    backups_ship: str | None = setting(
        "backups.ship",
        text,
        None,
        "directory to which a worker ships what changes in SQLite databases, to restore a moment; by default nowhere",
    )
    backups_ship_every: int = setting(
        "backups.ship_every", number(int, 1, 86400, "seconds"), "60", "time between two rounds of shipping"
    )
    backups_keep_shipped: int = setting(
        "backups.keep_shipped", number(int, 1, 3650, "days"), "7", "days for which moments that were shipped can be had"
    )
    backups_postgres_bin: str | None = setting(
        "backups.postgres_bin",
        text,
        None,
        "directories of PostgreSQL's programs, separated by colons; by default the search path",
    )
    backups_clusters: str | None = setting(
        "backups.clusters",
        text,
        None,
        "directory of tenantapp alone, in which a server is restored beside, to restore a tenant as it was at a moment",
    )
    backups_pgbackrest_config: str | None = setting(
        "backups.pgbackrest_config", text, None, "configuration file of pgBackRest; by default its own"
    )
    demo_enabled: bool = setting("demo.enabled", flag, "false", "whether `tenantapp demo` may fill the databases")
    threads: int = 4
    """The number of the web server's threads, from ``[server:main]``: the application has no setting for it."""
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The text of each setting that was given, also of the domain's own. It holds passwords, so it is not shown."""


TABLE: Final[tuple[Setting, ...]] = tuple(
    declared.metadata["setting"] for declared in fields(Settings) if "setting" in declared.metadata
)
