"""How does long work survive the process that does it?

``models`` has the row, ``kinds`` what a kind of operation is made of, ``queue`` the services that request, retry and
cancel, ``leases`` who works on one, ``runner`` works on one, ``worker`` on one after the other, and ``foreground`` on
one that a command has just requested. ``fleet`` is what all of them are given, ``outcomes`` how it went, in words.
"""
