"""Documents and messages as text and bytes between processes, and the versions of their formats."""
