"""From evidence and a question to a checked answer: prompt, generation, grounding, cost."""
