"""Every rule of Licet as a function of values: no clock, no input or output, no randomness, no logging."""
