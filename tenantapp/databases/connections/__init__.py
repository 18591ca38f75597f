"""How does work on the databases connect, and take turns?"""
