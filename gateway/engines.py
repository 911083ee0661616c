"""Tells log and metrics what becomes of the engine's replicas, as callers of the gateway do not see it."""

import structlog

from gateway.metrics import Metrics
from serving.errors import GenerationError

_log = structlog.get_logger()


class EngineNews:
    """What `serving.replicas` is heard by."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def opened(self, replica: str, served: str, error: GenerationError) -> None:
        """A replica is not asked for a model any more."""
        _log.error("engine_out", engine=replica, model=served, reason=str(error))
        self._metrics.engine_out(replica, served, out=True)

    def closed(self, replica: str, served: str) -> None:
        """It is again."""
        _log.info("engine_back", engine=replica, model=served)
        self._metrics.engine_out(replica, served, out=False)

    def retried(self, error: GenerationError) -> None:
        """A request is sent again."""
        self._metrics.engine_retried(type(error).__name__)
