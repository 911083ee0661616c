"""From chunks that were found to passages: which repeat each other, which are old, how they grow and become one."""
