"""Clients and resource-server libraries of others, run unmodified against a server of ours."""
