"""Tokenhouse, an OAuth 2.1 and OpenID Connect authorization server."""
