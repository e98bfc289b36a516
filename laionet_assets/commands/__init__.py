"""What each command of `laionet` does. Belongs here: runs, checks, questions, the UI, and what they print. Does not
belong here: parsing arguments (see `cli`), how a table is made (see `assets`).
"""
