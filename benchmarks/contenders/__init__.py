"""The contenders: each a small program written as its documentation recommends, in a directory of its own here."""

from benchmarks.contenders.contender import Broken, Contender, Prepared
from benchmarks.contenders.ours import Tenantapp
from benchmarks.contenders.peers import Program

__all__ = [
    "ACCESS",
    "CONTENDERS",
    "FLOOR",
    "OURS",
    "PYRAMID",
    "Broken",
    "Contender",
    "Prepared",
    "Program",
    "Tenantapp",
]

WAITRESS = ("{bin}/python", "app.py", "{port}")
FLOOR_DATABASES = ("floor_people", "floor_acme", "floor_globex")

OURS = Tenantapp("tenantapp", "tenantapp, PostgreSQL", engine="postgresql")
FLOOR = Program("floor", "raw WSGI + psycopg2 (the floor)", "floor", WAITRESS, FLOOR_DATABASES)
PYRAMID = Program("pyramid", "bare Pyramid view (no database)", "pyramid", WAITRESS, lists_nodes=False)
ACCESS = Program(
    "pyramid_access", "bare Pyramid view + the access statement", "pyramid_access", WAITRESS, lists_nodes=False
)

CONTENDERS: tuple[Contender, ...] = (
    OURS,
    Tenantapp("tenantapp_sqlite", "tenantapp, SQLite", engine="sqlite"),
    Tenantapp("tenantapp_logging", "tenantapp, PostgreSQL, request log on", engine="postgresql", request_log=True),
    FLOOR,
    Program(
        "floor_json",
        "the floor, JSON by PostgreSQL",
        "floor",
        (*WAITRESS, "--json-by-postgres"),
        FLOOR_DATABASES,
    ),
    PYRAMID,
    Program(
        "django_tenants",
        "django-tenants + DRF",
        "django_tenants",
        ("{bin}/gunicorn", "--workers", "1", "--threads", "4", "--bind", "127.0.0.1:{port}", "wsgi"),
        ("django",),
    ),
    Program("kinto", "Kinto", "kinto", ("{bin}/pserve", "kinto.ini", "http_port={port}"), ("kinto",)),
    Program(
        "fastapi",
        "FastAPI + SQLAlchemy async",
        "fastapi_engines",
        ("{bin}/uvicorn", "app:app", "--port", "{port}", "--no-access-log"),
        ("fastapi_people", "fastapi_acme", "fastapi_globex"),
    ),
)
