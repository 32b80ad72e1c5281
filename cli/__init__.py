"""The `solidgreen` command: what operators, auditors and scripts type."""
