"""Control plane: pins, keys, the operator's command line, evaluation and benchmarks."""
