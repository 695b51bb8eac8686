"""For web frameworks: gates for their routes, and refusals that tell the caller what is missing. Each is a module."""
