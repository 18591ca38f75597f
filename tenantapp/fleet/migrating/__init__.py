"""How are the databases of many tenants migrated?

The words: a *plan* says which tenants are to be migrated. A *run* carries the plan out. An *order* is one tenant's part
in a run, and a *result* is the outcome of an order.

``run`` claims tenants in the ledger (``ledger``), which is the table of operations, and gives their orders to processes
(``processes``). In a process, ``fenced_move`` keeps the tenant's people out, has the database migrated (``migrator``),
copied first if the order says so, and records the revision. ``plan`` makes the plan, and ``status`` reads the ledger.
``kind`` is for workers: it carries out one order that was requested by itself, or that a killed run left unfinished.
"""
