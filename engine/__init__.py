"""What the wallet is: decisions without I/O, and the store that writes them.

Pure modules (`money`, `commands`, `outcomes`, `view`, `decide`, `blocks`, `errors`) know no clock, no
randomness and no driver; the others touch SQLite. `tests/test_architecture.py` reads the imports and
enforces it.
"""
