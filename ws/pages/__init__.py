"""The pages for people, `/` and `/operator`, and what they load (docs/pages.md)."""
