"""How does a tenant travel in a file that both engines can load?"""
