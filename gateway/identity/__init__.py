"""People who come with a token of their identity provider."""
