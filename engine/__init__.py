"""What the wallet is: decisions without I/O, and the store that writes them.

Which modules are pure (no clock, no chance, no driver) stands in `tests/test_architecture.py`, which
reads the imports and enforces it; the others touch SQLite.
"""
