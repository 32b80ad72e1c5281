"""Who logs in, and who may act for the house."""
