"""Whether the parts are there, and whether any of them leaks."""
