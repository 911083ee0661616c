"""An app that asks for somebody gets what its key and that person both permit, and nothing that is kept from either.

A group that its key does not reach lets nobody in, but what denies it still denies: leaving it out must open nothing.
"""

from typing import Final

from deploy.keys import ApiKey
from gateway.errors import Forbidden
from gateway.identity.credentials import Named
from retrieval.acl import Principal, access_filter

ACT_AS: Final = "act-as"
ASKING: Final = frozenset({"ask", "search", "feedback"})


def principal_of(key: ApiKey) -> Principal:
    """The app itself."""
    return Principal(key.tenant, key.subject, frozenset(key.groups), frozenset(key.scopes))


def named(key: ApiKey, somebody: Named) -> Principal:
    """A user on the app's word alone, who for want of scopes of their own may ask, search and judge."""
    app = principal_of(key)
    if ACT_AS not in app.scopes:
        raise Forbidden(f"this key may not name whom it asks for: it lacks the scope {ACT_AS!r}")
    return both(key, Principal(key.tenant, somebody.subject, somebody.groups, ASKING))


def both(key: ApiKey, user: Principal) -> Principal:
    """A verified user, seen through the key of an app."""
    app = principal_of(key)
    if user.tenant != app.tenant:
        raise Forbidden("this key may not ask for this user, who is of another tenant", code="other_tenant")
    return Principal(
        tenant=app.tenant,
        subject=user.subject,
        groups=frozenset(group for group in user.groups if key.reaches(group)),
        scopes=app.scopes & user.scopes,
        denied_as=access_filter(app).denied_as | access_filter(user).denied_as,
        by_name=key.by_name,
    )
