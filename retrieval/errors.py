"""Every way in which finding or ingesting can fail.

RetrievalError
 ├── StoreError               the chunk store cannot answer
 │    ├── StoreLocked         another process has this index open
 │    ├── IndexNotSealed      no seal: the build never finished
 │    ├── IndexBehind         the index has not heard of a deletion or change of access yet
 │    └── PreflightFailed     the index is not fit to take traffic
 ├── CatalogError             the catalog cannot answer, so nothing may be shown
 ├── EmbedderUnavailable      a question gets no vector now, so nothing can be found
 ├── RerankerUnavailable      the reranker gives no scores; finding goes on without it
 ├── RecipeError              a recipe, manifest or model on disk does not fit what was pinned
 ├── CalibrationError         questions that no threshold can be fitted to
 ├── IndexPinned              an index version that a pin names is not dropped
 ├── SourceError              a source of documents is not usable as it stands
 │    ├── AccessMissing       a document without tenant or access list
 │    └── SupersedesItself    a document that says that it replaces itself
 ├── DocumentMissing          there is no such document
 ├── DocumentRefused          a document that cannot be taken in as it is
 ├── OriginConflict           a document that came from another source, which alone may change it
 ├── ChangedMeanwhile         a document was deleted while its new content was on its way
 ├── CannotRevert             there is no earlier content to go back to
 ├── SpoolError               records cannot be kept now: the spool is full, or its disk does not take them
 ├── ErasureIncomplete        nobody can read the document any more, but not all its bytes are gone
 └── ReceiptInvalid           a receipt that was not signed here, or was changed since
"""


class RetrievalError(Exception):
    """Base of this package's errors; its text names what failed and what to do, never another caller's data."""


class StoreError(RetrievalError):
    """The chunk store cannot answer."""


class StoreLocked(StoreError):
    """Another process has this index open."""


class IndexNotSealed(StoreError):
    """The index has no sealed manifest: its build never finished."""


class IndexBehind(StoreError):
    """The index has not heard of a deletion or change of access that it has to know before it takes traffic."""


class PreflightFailed(StoreError):
    """The index is not fit to take traffic; the text names the checks that say so."""


class CatalogError(RetrievalError):
    """The catalog cannot answer; without it nothing may be shown."""


class EmbedderUnavailable(RetrievalError):
    """The embedder gives no vectors: its server does not answer, or too many wait for it already."""


class RerankerUnavailable(RetrievalError):
    """The reranker gives no scores; finding goes on in the fused order, marked degraded."""


class RecipeError(RetrievalError):
    """A recipe, manifest or model on disk does not fit what was pinned."""


class CalibrationError(RetrievalError):
    """Questions that no threshold can be fitted to; the text says what is missing."""


class IndexPinned(RetrievalError):
    """An index version that a pin names: it is not dropped."""


class SourceError(RetrievalError):
    """A source of documents is not usable as it stands."""


class AccessMissing(SourceError):
    """A document without tenant or access list; it is refused, never guessed."""


class SupersedesItself(SourceError):
    """A document whose rules say that it replaces itself: nobody would ever see it."""


class DocumentMissing(RetrievalError):
    """There is no such document."""


class DocumentRefused(RetrievalError):
    """A document that cannot be taken in as it is; the text says why and what to do."""


class OriginConflict(RetrievalError):
    """A document that came from another source, which alone may change it."""


class ChangedMeanwhile(RetrievalError):
    """A document was deleted while its new content was on its way; the deletion stands."""


class CannotRevert(RetrievalError):
    """There is no earlier content to go back to."""


class SpoolError(RetrievalError):
    """Records cannot be kept now: the spool is full, or its disk does not take them."""


class ErasureIncomplete(RetrievalError):
    """Nobody can read the document any more, but not every store has let go of its bytes: repeat the erasure."""


class ReceiptInvalid(RetrievalError):
    """A receipt that was not signed here, or was changed since."""
