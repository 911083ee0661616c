"""Every way in which finding or ingesting can fail.

RetrievalError
 ├── StoreError               the chunk store cannot answer
 │    ├── StoreLocked         another process has this index open
 │    └── IndexNotSealed      no sealed manifest: the build never finished
 ├── CatalogError             the catalog cannot answer, so nothing may be shown
 ├── RerankerUnavailable      the reranker gives no scores; finding goes on without it
 ├── RecipeError              a recipe, manifest or model on disk does not fit what was pinned
 └── SourceError              a source of documents is not usable as it stands
      ├── AccessMissing       a document without tenant or access list
      └── SupersedesItself    a document whose rules say that it replaces itself
"""


class RetrievalError(Exception):
    """Base of this package's errors; its text names what failed and what to do, never another caller's data."""


class StoreError(RetrievalError):
    """The chunk store cannot answer."""


class StoreLocked(StoreError):
    """Another process has this index open."""


class IndexNotSealed(StoreError):
    """The index has no sealed manifest: its build never finished."""


class CatalogError(RetrievalError):
    """The catalog cannot answer; without it nothing may be shown."""


class RerankerUnavailable(RetrievalError):
    """The reranker gives no scores; finding goes on in the fused order, marked degraded."""


class RecipeError(RetrievalError):
    """A recipe, manifest or model on disk does not fit what was pinned."""


class SourceError(RetrievalError):
    """A source of documents is not usable as it stands."""


class AccessMissing(SourceError):
    """A document without tenant or access list; it is refused, never guessed."""


class SupersedesItself(SourceError):
    """A document whose rules say that it replaces itself: nobody would ever see it."""
