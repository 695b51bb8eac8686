"""Messages between processes and the versions of their formats."""
