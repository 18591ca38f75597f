"""How does the program use PostgreSQL and SQLite through SQLAlchemy?"""
