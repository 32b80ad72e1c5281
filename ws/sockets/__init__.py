"""Live WebSocket sessions: one socket's life, what is pushed to it, and when its token ends."""
