"""How is a server restored as it was at a moment, beside the real one? What is shipped of SQLite files for that?"""
