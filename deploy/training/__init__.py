"""Training the stable version's embedder, sentence and token vectors at once, on questions with their passages."""
