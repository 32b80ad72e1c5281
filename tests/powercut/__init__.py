"""Power cuts: what a real server wrote, replayed without what was not yet synced."""
