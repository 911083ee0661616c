"""What `make bench` can measure by itself."""

from typing import Literal, TypeAlias

Part: TypeAlias = Literal["search", "access", "embedding", "ingestion", "grounding", "gateway", "cache", "prefix"]
