"""How is a database made, reached, migrated and described on a server?"""
