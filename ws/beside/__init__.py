"""Tasks and processes beside the bets."""
