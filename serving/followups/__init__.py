"""How a follow-up is told from a question that stands alone, and what it is about: by its words, without a model."""
