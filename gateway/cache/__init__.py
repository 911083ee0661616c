"""Answered already? Answers that are given again, to whom a cold run could give the same, and to nobody else."""
