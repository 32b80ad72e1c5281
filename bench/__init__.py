"""Measurements of the wallet beside ceilings taken in the same run: `python -m bench.run`."""
