"""How often one may ask, and who counts as one."""
