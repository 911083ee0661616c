"""What the product takes from outside, imported; what is the product's own, forgotten again.

A process that is forked from here on imports only the product anew, in a moment, and may find it changed.
"""

import importlib
import sys

OURS = {"retrieval", "serving", "gateway", "deploy", "tests"}
# What the product imports no earlier than it needs it.
LATER = ("aiosqlite", "alembic.command", "opentelemetry.sdk.trace", "qdrant_client", "redis.asyncio")
EARLIER = ("pytest_asyncio.plugin", "pytest_socket", "tests.conftest", "tests.gateway.house", "tests.proofs.world")

for _name in (*EARLIER, *LATER):
    importlib.import_module(_name)
for _name in [name for name in sys.modules if name.partition(".")[0] in OURS and not __name__.startswith(name)]:
    del sys.modules[_name]
