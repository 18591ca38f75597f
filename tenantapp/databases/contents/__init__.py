"""What is in a database, so that a copy of it can be proved to hold the same?"""
