"""How does long work survive the process that does it?

``models`` has the table, and ``kinds`` says what a kind of operation is made of. ``queue`` has the services that
request, retry and cancel operations. ``leases`` says which worker owns an operation. ``runner`` works on one operation,
``worker`` on one after the other, and ``foreground`` on an operation that a command has just requested. ``fleet`` has
what all of them work with. ``outcomes`` says in words how an operation ended.
"""
