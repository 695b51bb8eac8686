"""HTTP v1: one table of operations, from which routes, OpenAPI and the documentation page are made."""
