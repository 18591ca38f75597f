"""How are many tenants asked at the same time?

``queries`` asks many tenants the same question, and ``parallel`` does work on many tenants at once. ``read_only`` runs
the statement on one database, with ``read_only_sqlite`` on SQLite. ``first_rows`` limits rows and memory.
"""
