"""What structure does a database have, and which one should it have?"""
