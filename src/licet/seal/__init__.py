"""Signing, verifying, sealing and hashing: the only room that draws randomness or touches key material."""
