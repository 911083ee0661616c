"""Where documents come from: a folder, a Git checkout, an SQL query, a JSON API, with rules on who may see what."""

from retrieval.ingest.sources.config import load_source
from retrieval.ingest.sources.document import Found, Source, SourceDocument, Unusable
from retrieval.ingest.sources.folder import FolderSource
from retrieval.ingest.sources.rules import RULES_FILE, Rule

__all__ = ["RULES_FILE", "FolderSource", "Found", "Rule", "Source", "SourceDocument", "Unusable", "load_source"]
