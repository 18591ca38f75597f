"""Migrating the databases of many tenants.

``run`` is the whole of it: it claims tenants in the ledger (``ledger``), which is the table of operations, and hands
them to processes (``process``), one tenant at a time. In a process ``worker`` keeps its people out (``fence``), has
the database moved (``tenant``), copied first if asked to (``snapshots``), and notes the revision. ``revisions``
knows the order of the history, ``plan`` what is to be done, and ``kind`` what a worker does with one that nobody
finished.
"""
