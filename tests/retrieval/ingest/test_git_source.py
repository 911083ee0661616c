"""A commit of a Git repository: its files and nothing else, and no program that a repository names is run."""

import os
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from retrieval.acl import Access
from retrieval.errors import SourceError
from retrieval.ingest.sources import SourceDocument, Unusable
from retrieval.ingest.sources.document import version_of
from retrieval.ingest.sources.git import GitSource

RULES = 'tenant: acme\nrules: [{match: "**", allow: ["group:staff"]}, {match: "dated.md", updated: 2020-02-02}]\n'


class Checkout:
    """A repository made for a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, at: str = "2026-01-01T12:00:00+00:00") -> str:
        environment = {
            "PATH": os.defpath,
            "HOME": str(self.root),
            **{
                f"GIT_{who}_{what}": "ann@acme.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
            "GIT_AUTHOR_DATE": at,
            "GIT_COMMITTER_DATE": at,
        }
        command = ["git", "-C", str(self.root), "-c", "protocol.file.allow=always", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def sign(self) -> None:
        """Give the last commit a signature, which is none."""
        head, _, message = self.git("cat-file", "commit", "HEAD").partition("\n\n")
        path = self.root / ".git" / "signed"
        path.write_text(f"{head}\ngpgsig -----BEGIN PGP SIGNATURE-----\n -----END PGP SIGNATURE-----\n\n{message}\n")
        self.git("reset", "--quiet", "--hard", self.git("hash-object", "-t", "commit", "-w", str(path)))

    def commit(self, files: Mapping[str, str | bytes], at: str = "2026-01-01T12:00:00+00:00") -> str:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change", at=at)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "handbook"
    root.mkdir()
    made = Checkout(root)
    made.commit({"twinpin.yaml": RULES, "a.md": "one", "deep/b.md": "two", "dated.md": "three"})
    return made


def documents(source: GitSource) -> dict[str, SourceDocument]:
    return {one.id: one for one in source.documents() if isinstance(one, SourceDocument)}


def unusable(source: GitSource) -> dict[str, str]:
    return {one.place: one.reason for one in source.documents() if isinstance(one, Unusable)}


def test_documents_are_the_committed_files(checkout: Checkout) -> None:
    (checkout.root / "a.md").write_text("not committed")
    (checkout.root / "new.md").write_text("not committed")
    (checkout.root / "twinpin.yaml").write_text("rules: []")
    found = documents(GitSource(checkout.root))
    assert list(found) == ["a.md", "dated.md", "deep/b.md"]
    new = found["a.md"].new()
    assert (new.raw, new.name, new.access) == (b"one", "a.md", Access("acme", frozenset({"group:staff"})))
    assert found["a.md"].content.version() == version_of(b"one")


def test_any_commit_can_be_named(checkout: Checkout) -> None:
    first = checkout.git("rev-parse", "HEAD")
    checkout.commit({"a.md": "changed"})
    checkout.git("tag", "now")
    checkout.git("rm", "--quiet", "a.md")
    checkout.commit({})
    for ref, raw in ((first, b"one"), (first[:10], b"one"), ("now", b"changed"), ("main~1", b"changed")):
        assert documents(GitSource(checkout.root, ref))["a.md"].content.read() == raw
    assert "a.md" not in documents(GitSource(checkout.root))


@pytest.mark.parametrize("ref", ["--output=/tmp/x", "-h", "", "nothing", "main:a.md", "main..main", "^main"])
def test_what_is_no_commit_is_refused(checkout: Checkout, ref: str) -> None:
    with pytest.raises(SourceError, match="commit"):
        GitSource(checkout.root, ref)


def test_a_document_was_updated_when_its_last_commit_was_made(checkout: Checkout) -> None:
    checkout.commit({"deep/b.md": "newer", "dated.md": "newer"}, at="2026-03-04T23:30:00-05:00")
    checkout.commit({"c.md": "other"}, at="2026-05-06T00:00:00+00:00")
    updated = {name: one.described().updated for name, one in documents(GitSource(checkout.root)).items()}
    assert updated == {
        "a.md": date(2026, 1, 1),
        "c.md": date(2026, 5, 6),
        "dated.md": date(2020, 2, 2),
        "deep/b.md": date(2026, 3, 5),
    }


def test_a_file_changed_by_a_merge_alone_has_the_date_of_the_merge(checkout: Checkout) -> None:
    checkout.git("checkout", "--quiet", "-b", "side")
    checkout.commit({"a.md": "side"}, at="2026-02-01T00:00:00+00:00")
    checkout.git("checkout", "--quiet", "main")
    checkout.commit({"a.md": "main"}, at="2026-02-02T00:00:00+00:00")
    checkout.git("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
    checkout.commit({"a.md": "both"}, at="2026-02-03T00:00:00+00:00")
    assert documents(GitSource(checkout.root))["a.md"].described().updated == date(2026, 2, 3)


def test_a_part_of_a_repository_has_rules_and_ids_of_its_own(checkout: Checkout) -> None:
    checkout.commit({"docs/twinpin.yaml": RULES.replace("acme", "other"), "docs/x/c.md": "text"})
    for folder in ("docs", "docs/"):
        source = GitSource(checkout.root, folder=folder)
        (document,) = documents(source).values()
        assert (document.id, document.access().tenant) == ("x/c.md", "other")
        assert document.described().updated == date(2026, 1, 1)
    with pytest.raises(SourceError, match=r"'docs/twinpin\.yaml' would have no effect"):
        list(GitSource(checkout.root).documents())


@pytest.mark.parametrize("folder", ["../x", "/", "a//b", "./a", "missing", "a.md"])
def test_what_is_no_folder_of_a_commit_is_refused(checkout: Checkout, folder: str) -> None:
    with pytest.raises(SourceError) as refused:
        GitSource(checkout.root, folder=folder)
    assert "fatal" not in str(refused.value), "in our words"


def test_links_submodules_and_hidden_files_are_no_documents(checkout: Checkout, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    Checkout(inner).commit({"c.md": "inner"})
    (checkout.root / "link.md").symlink_to("/etc/passwd")
    checkout.commit({".github/x.md": "hidden", "deep/.hidden.md": "hidden"})
    checkout.git("submodule", "--quiet", "add", str(inner), "inner")
    checkout.commit({})
    source = GitSource(checkout.root)
    assert list(documents(source)) == ["a.md", "dated.md", "deep/b.md"]
    assert unusable(source) == {
        "inner": "'inner' is a submodule: ingest it by itself",
        "link.md": "'link.md' is a symbolic link, which is not followed",
    }


def test_a_pointer_to_content_elsewhere_is_not_taken_for_content(checkout: Checkout) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    checkout.commit({"a.md": pointer})
    document = documents(GitSource(checkout.root))["a.md"]
    for asked in (document.content.version, document.content.read):
        with pytest.raises(SourceError, match=r"'a\.md' is a Git LFS pointer"):
            asked()


def test_odd_names_and_contents_come_through(checkout: Checkout) -> None:
    odd = {"a b\nc.md": b"\x00\xff\n", "\x01170.md": b"", "ü/é.md": b"x" * 3_000_000, "-rf": b"\n\n", "*.md": b"star"}
    checkout.commit(odd, at="2026-04-04T00:00:00+00:00")
    Path(os.fsdecode(os.fsencode(checkout.root) + b"/caf\xe9.md")).write_text("text")
    checkout.commit({}, at="2026-04-04T00:00:00+00:00")
    found = documents(GitSource(checkout.root))
    for name, raw in {**odd, "caf\\xe9.md": b"text"}.items():
        assert found[name].content.read() == raw
        assert found[name].content.version() == version_of(raw)
        assert found[name].described().updated == date(2026, 4, 4)


def test_a_bare_repository_is_read_too(checkout: Checkout, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    checkout.git("clone", "--quiet", "--bare", str(checkout.root), str(bare))
    assert documents(GitSource(bare))["a.md"].content.read() == b"one"


def test_a_folder_that_is_no_repository_or_a_part_of_one_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="git rev-parse on"):
        GitSource(tmp_path)
    with pytest.raises(SourceError, match="`folder: deep/`"):
        GitSource(checkout.root / "deep")
    with pytest.raises(SourceError, match="'none' is not a folder"):
        GitSource(checkout.root / "none")
    checkout.git("rm", "--quiet", "twinpin.yaml")
    checkout.commit({})
    with pytest.raises(SourceError, match=r"'handbook' has no twinpin\.yaml in its root"):
        GitSource(checkout.root)


def test_rules_that_are_not_valid_are_refused(checkout: Checkout) -> None:
    checkout.commit({"twinpin.yaml": "rules: [{groups: x}]"})
    with pytest.raises(SourceError, match="not valid"):
        GitSource(checkout.root)


def test_a_repository_is_told_apart_by_its_place_and_part_or_by_name(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit({"docs/twinpin.yaml": RULES, "deep/twinpin.yaml": RULES})
    parts = [GitSource(checkout.root, folder=folder).origin for folder in ("docs", "deep")]
    assert len({*parts, GitSource(checkout.root).origin}) == 3
    checkout.commit({"twinpin.yaml": f"origin: handbook\n{RULES}"})
    checkout.git("clone", "--quiet", str(checkout.root), str(tmp_path / "copy"))
    assert GitSource(checkout.root).origin == GitSource(tmp_path / "copy").origin == "handbook"


def test_nothing_that_a_repository_or_the_environment_names_is_run_or_read(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    checkout.commit({".gitattributes": "*.md diff=evil filter=evil\n"})
    for setting in (
        "core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "diff.evil.textconv", "diff.evil.command",
        "filter.evil.smudge", "filter.evil.clean", "gpg.program", "core.alternateRefsCommand", "core.editor",
    ):  # fmt: skip
        checkout.git("config", setting, str(program))
    checkout.sign()
    ran.unlink(missing_ok=True)
    checkout.git("config", "log.showSignature", "true")
    checkout.git("config", "core.hooksPath", str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    Checkout(other).commit({"twinpin.yaml": RULES, "a.md": "other"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(program))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.worktree")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(other))
    assert documents(GitSource(checkout.root))["a.md"].content.read() == b"one"
    assert not ran.exists()
    for control in ("status", "log"):
        checkout.git(control)
        assert ran.exists(), f"git {control} runs such a program where nothing keeps it from that"
        ran.unlink()


def test_a_clone_that_lacks_content_says_so_and_fetches_nothing(checkout: Checkout, tmp_path: Path) -> None:
    checkout.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    checkout.git("clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{checkout.root}", str(partial))
    with pytest.raises(SourceError, match="git"):
        list(GitSource(partial).documents())


def test_without_git_the_operator_is_told(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="install git"):
        GitSource(checkout.root)
