"""How are the databases of many tenants migrated?

The words: a *plan* says which tenants are to be migrated, a *run* carries it out, an *order* is one tenant's part in
it, and a *result* is what became of an order.

``run`` claims tenants in the ledger (``ledger``), which is the table of operations, and hands their orders to processes
(``processes``). In a process ``fenced_move`` keeps the tenant's people out, has the database moved (``migrator``),
copied first if asked to, and notes the revision. ``plan`` makes the plan, ``status`` reads the ledger, and ``kind`` is
what a worker does with one order: one that was requested by itself, or one that nobody finished.
"""
