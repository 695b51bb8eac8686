"""The authority's state machines: quota leases, floating places, settlement; over a storage port."""
