"""Starts the real server as a process and speaks the wire to it; imports no room of the engine.

Shared by the tests, the load runs and the benchmarks, so that each of them drives what a user would run.
"""
