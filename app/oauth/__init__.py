"""Authlib's framework-free authorization server, hosted: the only floor that knows Authlib."""
