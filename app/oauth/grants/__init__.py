"""The grant types, each a translation from the request into one call of a service."""
