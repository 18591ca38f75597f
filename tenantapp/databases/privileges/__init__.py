"""Who may do what in a PostgreSQL database, and under which settings does everybody work there?

A dump carries none of this, because the role that owns a database has another name in each tenant.
"""
