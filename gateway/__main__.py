"""Start the gateway: `python -m gateway`."""

import logging
import socket
import sys

import structlog
import uvicorn
from pydantic import ValidationError

from gateway.app import create_app
from gateway.settings import Settings
from retrieval.layout import settings_refused


def main() -> int:
    """Serve until a signal; 2, with the reason logged, when a setting, the address or a pinned version is no good."""
    configure_logs()
    try:
        settings = Settings()
    except ValidationError as error:
        structlog.get_logger().critical("cannot_start", reason=settings_refused(error))
        return 2
    config = uvicorn.Config(
        create_app(settings), log_config=None, log_level="critical", access_log=False, lifespan="on"
    )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=config.backlog)
    except OSError as error:
        reason = f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}"
        structlog.get_logger().critical("cannot_start", reason=reason)
        return 2
    server = uvicorn.Server(config)
    with listening:
        server.run(sockets=[listening])
    return 0 if server.started else 2


def configure_logs() -> None:
    """JSON lines on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    sys.exit(main())
