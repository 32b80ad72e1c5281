"""The pages at `/docs`, from the two contracts, and how all of it is served."""
