"""Which commands are there, and what does each take?

Options, arguments and help, and nothing that takes time to import: a command imports what it works with when it is
called.
"""
