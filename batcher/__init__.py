"""When and in which company a command runs: the queue, the one writer task, and what protects them.

`policy`, `breaker` and `undecided` are pure: time is an argument. `batcher` and the nonce guards are the
shell around them.
"""
