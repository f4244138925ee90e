"""Pure functions from texts to numbers."""
