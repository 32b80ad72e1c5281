"""Tests of everything, and what they share. A module of theirs has one name everywhere: `tests.…`."""
