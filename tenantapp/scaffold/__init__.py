"""How does a builder begin?

``tenantapp new`` writes a package of the builder's own: a few files of ``templates``, filled in, and a first migration
that ``tenantapp revision`` would write as well. Everything is made in a directory beside its place and moved there at
the end, so an error or an interruption leaves nothing.
"""
