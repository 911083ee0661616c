"""Opens the engine that the settings name, and tells log and metrics what becomes of its replicas."""

from collections.abc import Iterable
from itertools import chain, count
from urllib.parse import urlsplit

import structlog

from gateway.settings import Settings
from gateway.telemetry.metrics import Metrics
from serving.errors import EngineRefused, GenerationError
from serving.generator import Generator
from serving.replicas import ReplicatedGenerator
from serving.vllm_client import Timeouts, VllmGenerator

_PROBES = 4  # connections to a replica that no answer takes from whoever asks how it is
_log = structlog.get_logger()


def engine_of(settings: Settings, metrics: Metrics) -> Generator:
    """All replicas as one; made inside a running event loop."""
    most, timeouts = settings.engine_connections, Timeouts(total=settings.answer_seconds)
    patience = min(timeouts.first_piece, settings.answer_seconds / 2)
    replicas = {
        name: VllmGenerator(url, timeouts=timeouts, connections=most + _PROBES)
        for name, url in named(settings.engine_urls).items()
    }
    return ReplicatedGenerator(replicas, most=most, heard=EngineNews(metrics, replicas), patience=patience)


def named(urls: Iterable[str]) -> dict[str, str]:
    """Each by what people read of it, which is its address; by a number, too, where that is another one's as well."""
    found: dict[str, str] = {}
    for url in urls:
        parts = urlsplit(url)
        address = parts.netloc.rpartition("@")[2] + parts.path
        names = chain([address], (f"{address} ({number})" for number in count(2)))
        found[next(name for name in names if name not in found)] = url
    return found


class EngineNews:
    """What `serving.replicas` is heard by."""

    def __init__(self, metrics: Metrics, replicas: Iterable[str]) -> None:
        """Each is well until it is not, for whatever model: an alert needs a series to see that."""
        self._metrics = metrics
        for replica in replicas:
            metrics.engine_out(replica, "", out=False)

    def opened(self, replica: str, served: str, error: GenerationError) -> None:
        """A replica is not asked for a model any more."""
        if isinstance(error, EngineRefused):  # it is well, and of those that serve other models
            _log.info("engine_lacks_model", engine=replica, model=served)
            return
        _log.error("engine_out", engine=replica, model=served, reason=str(error))
        self._metrics.engine_out(replica, served, out=True)

    def closed(self, replica: str, served: str) -> None:
        """It is again."""
        _log.info("engine_back", engine=replica, model=served)
        self._metrics.engine_out(replica, served, out=False)

    def forgotten(self, replica: str, served: str) -> None:
        """Nobody asks for the model any more: whether the replica has it is not known."""
        _log.info("engine_forgotten", engine=replica, model=served)
        self._metrics.engine_out(replica, served, out=False)

    def retried(self, error: GenerationError) -> None:
        """A request is sent again."""
        self._metrics.engine_retried(type(error).__name__)
