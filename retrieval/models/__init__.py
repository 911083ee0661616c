"""What computes with neural models, here or on a server: vectors of texts, pairs compared, what is held of them."""
