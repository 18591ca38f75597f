"""How do we speak to PostgreSQL and SQLite through SQLAlchemy?"""
