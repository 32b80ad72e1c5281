"""What newcomers look at: `make demo`, a server with players that is killed and loses nothing, and `make
screenshots`. Outside the rooms: it starts the server as a user would, and speaks to it with `ws.client`.
"""
