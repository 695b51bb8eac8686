"""The HTTP door that API and relay share: who may enter, what may be carried in, and how a refusal is said."""
