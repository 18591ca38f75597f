"""Which migrations are there, and how are they run on one database?"""
