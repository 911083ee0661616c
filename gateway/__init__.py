"""The online request path: HTTP in, a verified answer out."""
