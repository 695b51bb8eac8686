"""Use cases of the control plane: each is one transaction, committed at its edge, that leaves events."""
