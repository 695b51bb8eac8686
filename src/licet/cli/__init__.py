"""The command line: thin commands over the HTTP service and, for a few, over the database."""
