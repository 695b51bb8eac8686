"""The local license server for on-prem and dark sites."""
