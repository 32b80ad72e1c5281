"""Who asks, what he may ask for, and what becomes of it, through either door."""
