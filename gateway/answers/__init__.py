"""The values that travel along the story of an answer, and the engine that speaks."""
