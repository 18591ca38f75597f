"""How are the databases of many tenants migrated?

``run`` claims tenants in the ledger (``ledger``), which is the table of operations, and hands them to processes
(``process``), one tenant at a time. In a process ``fenced_move`` keeps the tenant's people out, has the database moved
(``migrator``), copied first if asked to, and notes the revision. ``plan`` says what is to be done, and ``kind`` what a
worker does with a migration that nobody finished.
"""
