"""The parties, as objects with verbs."""
