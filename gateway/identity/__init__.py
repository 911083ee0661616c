"""What a request says of who sends it and for whom, and how keys and tokens are verified."""
