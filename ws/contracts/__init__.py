"""`/openapi.json` and `/asyncapi.json`, from the types that decode the wire. Pure."""
