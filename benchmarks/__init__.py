"""Measurements, each a script of its own: `.venv/bin/python benchmarks/NAME.py [--json]`.

authorization_server.py, start_and_memory.py, key_drill.py, why_tokens.py and verification.py measure; the other modules
start what is measured (ours and the peer), drive it and print. Nothing here is imported by the product or the tests.
"""
