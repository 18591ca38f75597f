"""Migrating the databases of many tenants.

``run`` is the whole of it: it claims tenants in the ledger (``ledger``), which is the table of operations, and hands
them to processes (``process``), one tenant at a time. A process keeps the tenant's people out (``fence``), moves the
database (``tenant``), copies it first if asked to (``snapshots``), and notes the revision. ``revisions`` knows the
order of the history, ``plan`` what is to be done, ``rehearsal`` how what was done to two databases is done to the next
ones without Alembic, and ``kind`` what a worker does with a migration that nobody finished.
"""
