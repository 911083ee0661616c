"""HTTP around the story: the server, what stands around every request, and the shapes of what goes out."""
