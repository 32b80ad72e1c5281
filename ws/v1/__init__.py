"""HTTP `/v1`: one table of routes; a request as a message of the wire, and its reply as a response."""
