"""What the server does: frozen values in, frozen values out; no HTTP, no Flask or Authlib object, no database row."""
