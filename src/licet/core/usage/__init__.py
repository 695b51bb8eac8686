"""Usage and balances as arithmetic: facts, what they draw from grants, what is admitted, and when amounts come back."""
