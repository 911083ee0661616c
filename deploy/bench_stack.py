"""The stack that whole answers are timed on: the pinned versions over 10,000 chunks, with a scripted engine.

Its embedder is a hash and costs nothing, it compares no tokens, and its threshold always generates: what is left is the
gateway and its index.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import yaml

from deploy.bench_client import post
from deploy.bench_documents import ALONE, CALLER, write_documents
from deploy.bench_rounds import Subject
from deploy.local import Stack
from deploy.pinboard import read_pinboard
from deploy.sampling import sample_keys
from deploy.settings import Settings
from retrieval.embed import HASH
from retrieval.index import Embedding, load_recipe
from serving.manifest import ModelManifest, load_manifest, manifest_name

TOKENS, CALLERS, PORT, ENGINE_PORT = 64, 64, 18080, 18100


@dataclass(frozen=True, slots=True)
class Bench:
    """A running stack, the keys of its callers, and questions that nobody has asked yet."""

    stack: Stack
    keys: dict[str, str]
    questions: Iterator[str]

    def serve(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the gateway, or start it anew, with these settings and those that let it be measured."""
        # all of them at once are to be answered, however late: that is what is measured
        own = {"TWINPIN_MAX_CONCURRENCY": str(2 * CALLERS), "TWINPIN_FIRST_TOKEN_SECONDS": "30"}
        self.stack.serve(own | dict(environment or {}))

    def gateway(self, name: str, path: str, body: Callable[[str], dict[str, Any]], *, caller: str = CALLER) -> Subject:
        """The gateway, asked in one way by one caller."""
        key = self.keys[caller]
        return Subject(name, PORT, self.stack.pid("gateway"), lambda: post(path, body(next(self.questions)), key))

    def engine(self, name: str, body: Callable[[str], dict[str, Any]]) -> Subject:
        """The engine itself."""
        served = {"model": self.stack.manifest.served_name}
        pid = self.stack.pid("engine")
        return Subject(
            name, ENGINE_PORT, pid, lambda: post("/v1/chat/completions", body(next(self.questions)) | served, "none")
        )


@contextmanager
def running(settings: Settings, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Bench]:
    """Make the corpus and start the stack, the gateway with further settings; both callers' documents stand in it."""
    prose = write_documents(folder / "documents")
    own = _settings(settings, folder)
    with Stack(own) as stack:
        stack.make_weights()  # for their tokenizer
        stack.start_scripted_engine(TOKENS)
        stack.ingest(folder / "documents")
        bench = Bench(stack, {name: sample_keys(own)[name] for name in (CALLER, ALONE)}, prose.questions())
        bench.serve(environment)
        yield bench


def _asked_alone_too(pinned: ModelManifest) -> ModelManifest:
    """The pinned version, which answers without documents as well."""
    fields = {**msgspec.to_builtins(pinned), "system_alone": "You are a helpful assistant."}
    del fields["name"]
    return replace(pinned, system_alone=fields["system_alone"], name=manifest_name("bench", fields))


def _settings(settings: Settings, folder: Path) -> Settings:
    board = read_pinboard(settings.releases)
    recipe = msgspec.structs.replace(
        load_recipe(board.index_recipe()),
        label="bench",
        embedder=Embedding(HASH, "", "", 384),
        reranker=None,
        abstain_below=-1.0,
        abstain_weakest=0.0,
    )
    versions = folder / "versions"
    versions.mkdir()
    (versions / f"{recipe.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(recipe)), "utf-8")
    manifest = _asked_alone_too(load_manifest(board.model_manifest()))
    (versions / f"{manifest.name}.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(manifest)), "utf-8")
    pins = {"index": {"stable": recipe.name}, "model": {"stable": manifest.name}}
    (folder / "releases.yaml").write_text(yaml.safe_dump(pins), "utf-8")
    (folder / "models").symlink_to((settings.data / "models").resolve())
    url = f"http://127.0.0.1:{PORT}"
    return Settings(data=folder, releases=folder / "releases.yaml", port=PORT, engine_port=ENGINE_PORT, url=url)
