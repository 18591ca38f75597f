"""Which commands are there, and which options and arguments does each take?

These modules import nothing that takes long to import. A command imports its services when it is called.
"""
