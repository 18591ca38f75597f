"""How is a PostgreSQL server restored as it was at a moment, beside the real one?"""
