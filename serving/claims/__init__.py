"""What a sentence claims and what a passage says, read closely enough to tell whether one holds the other."""
