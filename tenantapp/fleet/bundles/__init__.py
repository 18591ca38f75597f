"""How is a tenant carried in a file that both engines can load?"""
