"""Storage that fails: a server on a disk that fails on demand, and a fault at each write and sync in turn."""
