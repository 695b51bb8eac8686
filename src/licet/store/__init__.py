"""The only room with SQL: implements the storage that use cases ask for; owns schema, roles and migrations."""
