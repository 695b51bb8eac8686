"""A local truth: what a feed said, owned quota and an outbox of usage, behind a hub port."""
