"""Use of a workspace as a service: the lane in which it is decided and recorded, balances, statements, grants, sums."""
