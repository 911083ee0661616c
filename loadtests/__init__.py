"""Load tests: Locust's users against a whole stack, with thresholds that fail the run."""
