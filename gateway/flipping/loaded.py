"""What has been loaded stays, and Python's collector does not look at it again until a version leaves.

To look at all of it for garbage takes a fifth of a second, every few seconds, in which nobody is answered.
"""

import gc


def set_apart() -> None:
    """All that lives now, of what was set apart before only what is still used: models are in circles of references."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def set_apart_anew() -> None:
    """After versions have come and gone, in a process where it was done at the start."""
    if gc.get_freeze_count():
        set_apart()
