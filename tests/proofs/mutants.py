"""The checks that stand between a caller and a document, each with what the product would be without it.

`was` is a piece of a module's source that stands there exactly once, `becomes` the same without the check, `caught_by`
the tests that fail then. docs/proofs.md lists them.
"""

from dataclasses import dataclass

GUARDS = "tests/proofs/test_guards.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One check removed; all of `caught_by` are test ids, of files or of single tests.

    A race may be won by chance: such tests are run up to `tries` times.
    """

    name: str
    module: str
    was: str
    becomes: str
    caught_by: str
    tries: int = 1


def _guard(name: str, module: str, was: str, becomes: str, test: str) -> Mutant:
    return Mutant(name, module, was, becomes, f"{GUARDS}::{test}")


ACCESS = [
    _guard(
        "rule: tenant",
        "retrieval.acl",
        "access.tenant == self.tenant\n            and",
        "True\n            and",
        "test_a_filter_permits_what_the_rule_says",
    ),
    _guard(
        "rule: allow list",
        "retrieval.acl",
        "not self.grants.isdisjoint(access.allow)",
        "True",
        "test_a_filter_permits_what_the_rule_says",
    ),
    _guard(
        "rule: deny list",
        "retrieval.acl",
        "and self.denied_as.isdisjoint(access.deny)",
        "",
        "test_a_filter_permits_what_the_rule_says",
    ),
    _guard(
        "rule: a group is no user",
        "retrieval.acl",
        'f"group:{group}" for group in principal.groups',
        'f"{kind}:{group}" for group in principal.groups for kind in ("group", "user")',
        "test_a_filter_permits_what_the_rule_says",
    ),
    _guard(
        "rule: an app does not lift what denies its user",
        "retrieval.acl",
        "grants | {own} | principal.denied_as, _SEAL",
        "grants, _SEAL",
        "test_an_app_for_somebody_sees_what_both_permit",
    ),
    _guard(
        "rule: an app does not read what is shared by name",
        "retrieval.acl",
        "if principal.by_name else groups",
        "",
        "test_an_app_for_somebody_sees_what_both_permit",
    ),
    _guard(
        "filter: made by one function alone",
        "retrieval.acl",
        "if seal is not _SEAL:",
        "if False:",
        "test_only_a_verified_caller_makes_a_filter",
    ),
    _guard(
        "list: entries that match nobody",
        "retrieval.acl",
        'return kind in ("user", "group") and bool(name) and _is_plain(name)',
        "return True",
        "test_a_document_without_readers_that_could_be_is_refused",
    ),
    _guard(
        "scope: names that allow lists have",
        "retrieval.acl",
        "sorted(name for name in self.grants if name in allowing)",
        "()",
        "test_who_share_a_scope_may_read_the_same",
    ),
    _guard(
        "scope: names that deny lists have",
        "retrieval.acl",
        "sorted(name for name in self.denied_as if name in denying)",
        "()",
        "test_who_share_a_scope_may_read_the_same",
    ),
    _guard(
        "scope: lists of documents that are put",
        "retrieval.catalog",
        "            await list_names(connection, [entry.document.access for entry in entries])\n",
        "",
        "test_who_share_a_scope_may_read_the_same",
    ),
    _guard(
        "scope: lists that are replaced",
        "retrieval.sql.recording",
        "    await list_names(connection, [access])\n",
        "",
        "test_who_share_a_scope_may_read_the_same",
    ),
    _guard(
        "second check of a chunk's own fields",
        "retrieval.store",
        "hit for hit in held if access.permits(hit.access)",
        "hit for hit in held",
        "test_a_chunk_that_is_asked_for_by_its_id_is_checked_again",
    ),
]


def _store(kind: str, module: str) -> list[Mutant]:
    """The two engines are asked the same way."""
    scores, narrows = "test_a_store_scores_permitted_chunks_only", "test_a_narrowing_narrows"
    leg = "using=DENSE, filter=wanted, params=exact" if kind == "server" else "DENSE), filter=wanted, params=exact"
    other = "using=SPARSE, filter=wanted" if kind == "server" else "SPARSE), filter=wanted"
    ids = "has_id=list(missing)" if kind == "server" else "set(missing)"
    build = "models" if kind == "server" else "qe"
    return [
        _guard(f"{kind}: filter of the dense leg", module, leg, leg.replace("filter=wanted, ", ""), scores),
        _guard(f"{kind}: filter of the sparse leg", module, other, other.replace("wanted", "None"), scores),
        _guard(
            f"{kind}: filter of the query for missing cosines",
            module,
            f"_permitted(access, {build}.HasIdCondition({ids}))",
            f"{build}.Filter(must=[{build}.HasIdCondition({ids})])",
            "test_what_is_withdrawn_between_two_queries_has_no_score",
        ),
        _guard(
            f"{kind}: scope of BM25's statistics",
            module,
            "corpus=permitted)",
            f"corpus={build}.Filter())",
            "test_no_score_tells_of_other_peoples_chunks",
        ),
        _guard(f"{kind}: tenant", module, "must=[_match(payload.TENANT, access.tenant), ", "must=[", scores),
        _guard(
            f"{kind}: allow list", module, "_match_any(payload.ALLOW, access.grants), *narrower", "*narrower", scores
        ),
        _guard(f"{kind}: deny list", module, "must_not=[_match_any(payload.DENY, access.denied_as)],", "", scores),
        _guard(
            f"{kind}: deny list, by what only denies",
            module,
            "payload.DENY, access.denied_as",
            "payload.DENY, access.grants",
            "test_an_app_for_somebody_sees_what_both_permit",
        ),
        _guard(
            f"{kind}: a narrowing is ANDed",
            module,
            "    return _permitted(access, *own)",
            f"    return {build}.Filter(must=own) if own else _permitted(access)",
            scores,
        ),
        _guard(
            f"{kind}: a narrowing narrows",
            module,
            "own.append(_match_any(payload.CATEGORY, narrowing.category))",
            "pass",
            narrows,
        ),
        _guard(
            f"{kind}: tenant of what is deleted or described",
            module,
            "return [_match(payload.TENANT, tenant), _match(payload.DOCUMENT, document)]",
            "return [_match(payload.DOCUMENT, document)]",
            "test_a_document_is_deleted_and_described_in_its_own_tenant",
        ),
    ]


STORES = [
    *_store("embedded", "retrieval.stores.edge_store"),
    *_store("server", "retrieval.stores.qdrant_store"),
    _guard(
        "memory: filter",
        "retrieval.stores.memory_store",
        "self._points.items() if access.permits(point.access)}",
        "self._points.items()}",
        "test_a_store_scores_permitted_chunks_only",
    ),
    _guard(
        "memory: scope of BM25's statistics",
        "retrieval.stores.memory_store",
        "_idf(permitted.values())",
        "_idf(self._points.values())",
        "test_no_score_tells_of_other_peoples_chunks",
    ),
]
AUTHORITY = [
    _guard(
        "authority: tenant",
        "retrieval.sql.authority",
        'documents.c.tenant == sa.bindparam("tenant"),',
        "",
        "test_the_authority_refuses_others",
    ),
    _guard(
        "authority: access list",
        "retrieval.sql.authority",
        "access.permits(_access(access.tenant, allow, deny))",
        "True",
        "test_the_authority_refuses_others",
    ),
    _guard(
        "authority: version",
        "retrieval.sql.authority",
        "documents.c.version == refs.c.version,",
        "",
        "test_the_authority_refuses_an_earlier_version",
    ),
    _guard(
        "authority: superseded",
        "retrieval.sql.authority",
        "        ~superseded,\n",
        "",
        "test_the_authority_refuses_what_is_superseded",
    ),
    _guard(
        "authority: superseded within the tenant",
        "retrieval.sql.authority",
        "newer.c.tenant == documents.c.tenant, ",
        "",
        "test_a_document_supersedes_none_of_another_tenant",
    ),
    _guard(
        "authority: expired on its day",
        "retrieval.sql.authority",
        'documents.c.expires > sa.bindparam("today"',
        'documents.c.expires >= sa.bindparam("today"',
        "test_the_authority_refuses_what_has_expired",
    ),
    _guard(
        "authority: watermark",
        "retrieval.sql.authority",
        "if applied < required:",
        "if False:",
        "test_the_authority_refuses_an_index_that_is_behind",
    ),
    Mutant(
        "finding: what was replaced meanwhile",
        "retrieval.gathering",
        "if sequence != before:",
        "if False:",
        "tests/proofs/test_together.py::test_every_reader_finds_each_document_as_it_was_at_one_moment",
        tries=5,
    ),
    _guard(
        "finding: a version that is behind and finds nothing",
        "retrieval.gathering",
        "range(0, max(1, len(order)), wanted)",
        "range(0, len(order), wanted)",
        "test_a_version_that_is_behind_does_not_say_that_there_is_nothing",
    ),
]
WRITING = [
    _guard(
        "change of access or deletion: to every version",
        "retrieval.documents",
        "for index in self.indexes.retained():\n            gone = max",
        "for index in self.indexes.serving():\n            gone = max",
        "test_a_revocation_is_in_every_version_when_it_is_acknowledged",
    ),
    _guard(
        "deletion: probed",
        "retrieval.live",
        "if await self.store.holds(tenant, document):",
        "if False:",
        "test_a_store_that_keeps_what_was_deleted_is_noticed",
    ),
    _guard(
        "deletion: required of every version",
        "retrieval.documents",
        "        await self.catalog.require(tenant, sequence)\n        return gone",
        "        return gone",
        "test_a_version_that_missed_a_change_may_not_answer",
    ),
    _guard(
        "new content that narrows: to every version",
        "retrieval.publishing",
        "await self._take_from_others([one for one in drafts if _narrows(one)], heads)",
        "",
        "test_new_content_takes_readers_from_every_version",
    ),
    _guard(
        "new content that narrows: required of every version",
        "retrieval.publishing",
        "await self.catalog.require(one.key[0], heads[one.key[0]])",
        "pass",
        "test_a_version_that_missed_a_change_may_not_answer",
    ),
    _guard(
        "watermark: no gap",
        "retrieval.live",
        "if (await self.catalog.marks(self.name)).get(tenant, 0) >= before:",
        "if True:",
        "test_a_version_that_missed_a_change_does_not_pass_for_one_that_has_it",
    ),
    _guard(
        "watermark: no content that is lacking",
        "retrieval.documents",
        "if known is None or not await index.lacks(known):",
        "if True:",
        "test_a_version_that_missed_a_change_does_not_pass_for_one_that_has_it",
    ),
    _guard(
        "update: old chunks",
        "retrieval.live",
        "await self.store.delete(tenant, document.id, keep=document.version)",
        "pass",
        "test_an_update_drops_the_chunks_of_before",
    ),
    Mutant(
        "update: not before the catalog names the new version",
        "retrieval.publishing",
        "        entries = [Entry(",
        "            await index.settle(made[index.name], list(documents.values()))\n        entries = [Entry(",
        "tests/proofs/test_together.py::test_every_reader_finds_each_document_as_it_was_at_one_moment",
        tries=5,
    ),
    _guard(
        "handed in before a revocation",
        "retrieval.publishing",
        "if known is not None and known.epoch > since:",
        "if False:",
        "test_what_is_handed_in_before_a_revocation_does_not_undo_it",
    ),
    _guard(
        "handed in before a revocation, unchanged",
        "retrieval.documents",
        "if since is not None and known.epoch > since:",
        "if False:",
        "test_the_same_content_handed_in_before_a_revocation_does_not_undo_it",
    ),
    _guard(
        "handed in before a deletion",
        "retrieval.publishing",
        "if tombstone is not None and tombstone.sequence > since:",
        "if False:",
        "test_what_is_handed_in_before_a_deletion_does_not_undo_it",
    ),
    _guard(
        "origin: another source",
        "retrieval.documents",
        "_require_origin(new, known)\n            version",
        "version",
        "test_another_source_changes_nothing",
    ),
    _guard(
        "origin: while nobody else writes",
        "retrieval.publishing",
        "if known is not None and known.origin != draft.document.origin:",
        "if False:",
        "test_two_sources_at_once_are_one_too_many",
    ),
    _guard(
        "a document without readers",
        "retrieval.newdocument",
        "    _require_access(new)\n",
        "",
        "test_a_document_without_readers_that_could_be_is_refused",
    ),
    _guard(
        "revert: access of now",
        "retrieval.documents",
        "document = replace(chosen.document, access=known.access, origin=known.origin)",
        "document = replace(chosen.document, access=Access(tenant, frozenset({'group:staff'})), origin=known.origin)",
        "test_earlier_content_does_not_bring_its_readers_back",
    ),
    _guard(
        "deletion: the row that decides",
        "retrieval.sql.recording",
        "sa.delete(documents).where(*of(documents, tenant, document))",
        "sa.delete(documents).where(*of(documents, tenant, document), sa.false())",
        "test_the_authority_refuses_what_is_deleted",
    ),
    _guard(
        "deletion: history, texts and originals",
        "retrieval.sql.recording",
        "for table in (versions, originals, contents, pieces):\n        await connection",
        "for table in ():\n        await connection",
        "test_a_deleted_document_leaves_nothing_to_bring_back",
    ),
]
INDEXES = [
    _guard(
        "opening: a build that never finished",
        "retrieval.opening",
        "if sealed is None and not create:",
        "if False:",
        "test_a_version_whose_build_never_finished_is_not_opened",
    ),
    _guard(
        "opening: a version that lost chunks",
        "retrieval.live",
        "if found != noted:",
        "if False:",
        "test_a_version_that_lost_chunks_is_not_whole",
    ),
    _guard(
        "erasure: files of open versions",
        "retrieval.live",
        "return await self.store.rewrite()",
        "return 'left as they are'",
        "test_an_erasure_reaches_every_file",
    ),
    _guard(
        "erasure: versions that are not open",
        "retrieval.erasure",
        "*(DormantErasure(*one, self.place, catalog, self._until) for one in asleep),",
        "",
        "test_an_erasure_reaches_every_file",
    ),
    _guard(
        "erasure: the catalog's files",
        "retrieval.erasure",
        "done = await self.catalog.scrub()",
        "done = 'left as it is'",
        "test_an_erasure_reaches_every_file",
    ),
]
GATEWAY = [
    Mutant(
        "HTTP: scope of each route",
        "gateway.parts",
        "    require(known.principal, *NEEDED[doing or wanted])",
        "",
        "tests/gateway/test_scopes.py::test_a_role_may_do_what_the_table_says_and_nothing_else",
    ),
    Mutant(
        "HTTP: scope that forces a version",
        "gateway.parts",
        'require(principal, "release:override")',
        "pass",
        "tests/gateway/test_release.py::test_without_the_scope_nobody_chooses_nor_learns_what_there_is",
    ),
    Mutant(
        "HTTP: scope of reading pins",
        "gateway.scopes",
        '"GET /v1/release": ("release:read", ',
        '"GET /v1/release": ("ask", ',
        "tests/gateway/test_release.py::test_only_who_may_read_it_is_told_of_the_release",
    ),
    Mutant(
        "HTTP: scope of changing documents",
        "gateway.scopes",
        '_WRITES: Final = ("documents:write", "admin")',
        '_WRITES: Final = ("documents:write", "admin", "search")',
        "tests/gateway/test_documents_roles.py::test_every_role_may_do_what_it_may_and_nothing_else",
    ),
    Mutant(
        "HTTP: a document that the caller may not see",
        "gateway.documents.access",
        "if known is None or not _sees(principal, known):",
        "if known is None:",
        "tests/gateway/test_documents_roles.py::test_denied_and_missing_are_the_same_bytes",
    ),
    Mutant(
        "HTTP: documents in a list",
        "gateway.documents.access",
        "if _sees(principal, one) and wanted.category",
        "if wanted.category",
        "tests/gateway/test_documents.py::test_a_readers_list_and_document_hold_only_what_is_theirs",
    ),
    Mutant(
        "HTTP: another tenant's documents",
        "gateway.documents.access",
        "if asked is not None and asked != principal.tenant and _ADMIN not in principal.scopes:",
        "if False:",
        "tests/gateway/test_documents_roles.py::test_every_role_may_do_what_it_may_and_nothing_else",
    ),
    Mutant(
        "HTTP: a key that is not known",
        "gateway.auth",
        "if key is None:\n            raise",
        "key = key or next(iter(self._keys._ring.keys.values()))\n        if key is None:\n            raise",
        "tests/gateway/test_access.py::test_nobody_we_know_is_401",
    ),
    Mutant(
        "token: signature",
        "gateway.identity.tokens",
        "        jws.deserialize_compact(read.token, key, config.algorithms)",
        "        pass",
        "tests/gateway/test_forgeries.py::test_none_of_them_is_accepted",
    ),
    Mutant(
        "token: audience",
        "gateway.identity.tokens",
        '        aud={"essential": True, "values": config.audience},\n',
        "",
        "tests/gateway/test_forgeries.py::test_none_of_them_is_accepted",
    ),
    Mutant(
        "token: what a header may say",
        "gateway.identity.tokens",
        "not header.keys() <= _HEADER or ",
        "",
        "tests/gateway/test_forgeries.py::test_none_of_them_is_accepted",
    ),
    Mutant(
        "token: a name that is there twice",
        "gateway.identity.tokens",
        "    if len(made := dict(pairs)) != len(pairs):",
        "    made = dict(pairs)\n    if False:",
        "tests/gateway/test_forgeries.py::test_none_of_them_is_accepted",
    ),
    Mutant(
        "token: algorithms and types that are listed",
        "gateway.identity.people",
        "issuer is None or not right_kind(read, issuer.config)",
        "issuer is None",
        "tests/gateway/test_forgeries.py::test_none_of_them_is_accepted",
    ),
    Mutant(
        "token: a key that was withdrawn",
        "gateway.identity.people",
        " and self.issuer.cache.keys.get(self.name) is self.key",
        "",
        "tests/gateway/test_keycache.py::test_keys_rotate_while_requests_flow",
    ),
    Mutant(
        "app: groups that its key reaches",
        "gateway.identity.acting",
        "for group in user.groups if key.reaches(group)",
        "for group in user.groups",
        "tests/gateway/test_acting.py::test_an_app_sees_what_its_user_and_its_key_both_may",
    ),
    Mutant(
        "app: what denies it or its user",
        "gateway.identity.acting",
        "access_filter(app).denied_as | access_filter(user).denied_as",
        "frozenset()",
        "tests/gateway/test_acting.py::test_a_group_that_the_key_does_not_reach_still_denies",
    ),
    Mutant(
        "app: scopes that both have",
        "gateway.identity.acting",
        "app.scopes & user.scopes",
        "app.scopes | user.scopes",
        "tests/gateway/test_acting.py::test_scopes_are_those_that_both_have",
    ),
    Mutant(
        "app: its user's tenant",
        "gateway.identity.acting",
        "if user.tenant != app.tenant:",
        "if False:",
        "tests/gateway/test_acting.py::test_a_user_of_another_tenant_is_refused",
    ),
    Mutant(
        "app: the scope to name somebody",
        "gateway.identity.acting",
        "if ACT_AS not in app.scopes:",
        "if False:",
        "tests/gateway/test_acting.py::test_naming_somebody_takes_the_scope_and_bringing_their_token_does_not",
    ),
    Mutant(
        "HTTP: a key that has ended",
        "gateway.auth",
        "if key.expired(self._now()):",
        "if False:",
        "tests/gateway/test_access.py::test_a_key_that_has_ended_is_refused",
    ),
]
SOURCES = [
    Mutant(
        "sync: access is narrowed first",
        "retrieval.ingest.sync",
        "    await run.narrow(documents)\n",
        "",
        "tests/retrieval/ingest/test_sync.py::test_a_document_that_cannot_come_in_loses_the_access_that_is_taken_and_gets_none",
    ),
    Mutant(
        "sync: what is gone is deleted",
        "retrieval.ingest.sync",
        "    departed = await run.dismiss(documents)\n",
        "    departed: list[Outcome] = []\n",
        "tests/retrieval/ingest/test_sync.py::test_what_is_gone_or_moved_is_deleted_before_anything_else",
    ),
]
MUTANTS = [*ACCESS, *STORES, *AUTHORITY, *WRITING, *INDEXES, *GATEWAY, *SOURCES]
