"""What does the domain do when a tenant is made, copied, renamed or removed?

``declarations`` has what the domain declares. ``running`` runs hooks: in the last step of the operations that make a
tenant (``steps``), and in the operations of ``after``, which follow a rename or a removal.
"""
