"""What callers send about documents, and how it is taken in."""
