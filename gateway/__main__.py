"""Start the gateway: `python -m gateway`."""

import socket
import sys
from ipaddress import ip_address

import structlog
from pydantic import ValidationError

from gateway.app import create_app
from gateway.http.draining import Draining
from gateway.http.server import Server
from gateway.identity.keyfile import holds_keys
from gateway.settings import Settings
from gateway.telemetry.logs import configure_logs
from retrieval.layout import settings_refused

_NOBODY = "there is neither an API key (`twinpin keys create`) nor an identity file, so nobody can call"


def main() -> int:
    """Serve until a signal; 2, with the reason logged, when a setting, the address or a pinned version is no good."""
    configure_logs()
    try:
        settings = Settings()
    except ValidationError as error:
        structlog.get_logger().critical("cannot_start", reason=settings_refused(error))
        return 2
    configure_logs(settings.log_level, content=settings.log_content)
    draining = Draining()
    server = Server(
        create_app(settings, draining=draining),
        draining,
        drain_seconds=settings.drain_seconds,
        answer_seconds=settings.answer_seconds,
    )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        if reason := refused_to_strangers(settings, family):
            structlog.get_logger().critical("cannot_start", reason=reason)
            return 2
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=server.config.backlog)
    except OSError as error:
        reason = f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}"
        structlog.get_logger().critical("cannot_start", reason=reason)
        return 2
    try:
        with listening:
            server.run(sockets=[listening])
    except SystemExit:  # how uvicorn ends a start that failed; the reason is logged
        return 2
    return 0 if server.started else 2


def refused_to_strangers(settings: Settings, family: socket.AddressFamily) -> str | None:
    """Why the address may not be listened on: while nobody can prove who they are, only this machine may come near."""
    if settings.identity is not None or holds_keys(settings.keys):
        return None
    found = socket.getaddrinfo(settings.host, settings.port, family=family, type=socket.SOCK_STREAM)
    if all(ip_address(address[4][0]).is_loopback for address in found):
        structlog.get_logger().warning("no_authentication", reason=_NOBODY)
        return None
    return f"{_NOBODY}: {settings.host} would open the gateway beyond this machine"


if __name__ == "__main__":
    sys.exit(main())
