"""What programs call: plain WSGI, no cookie, no session, no template."""
