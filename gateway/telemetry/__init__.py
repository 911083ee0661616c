"""What is told of requests while they run: metrics, spans and logs."""
