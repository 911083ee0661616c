"""The command line: what it prints, where it prints it, and the exit codes that scripts rely on."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deploy.keys import read_keys
from deploy.settings import Settings
from retrieval.stores.edge_store import EdgeStore
from tests.deploy.commandline import RECIPE, ROOT, Cli, refused

GROUPS = ("documents", "gates", "index", "keys")


@pytest.mark.parametrize("arguments", [("--help",), ("ingest", "--help"), *((one, "--help") for one in GROUPS)])
def test_help_needs_nothing(cli: Cli, arguments: tuple[str, ...], tmp_path: Path) -> None:
    said = cli(*arguments)
    assert (said.code, said.err) == (0, "")
    assert "Usage: " in said.out
    assert not (tmp_path / "data").exists()


def test_an_unknown_command_or_option_is_two(cli: Cli) -> None:
    assert cli("conquer").code == cli("ingest").code == cli("keys", "create").code == 2
    assert cli("erase").code == cli("index", "build").code == cli("documents", "put", "x").code == 2


def test_a_clean_ingestion_is_zero_and_a_second_one_writes_nothing(cli: Cli, folder: Path) -> None:
    said = cli("ingest", str(folder))
    assert (said.code, said.err) == (0, "")
    assert "docs: 1 added; 1 chunks written" in said.out
    assert "docs: 1 unchanged; 0 chunks written" in cli("ingest", str(folder)).out


def test_documents_that_did_not_get_in_make_three_and_are_named(cli: Cli, folder: Path) -> None:
    (folder / "nobody.txt").write_text("no rule allows anybody")
    (folder / "broken.md").write_bytes(b"")
    said = cli("ingest", str(folder))
    assert said.code == 3
    assert "refused: 'nobody.txt' has no allow list" in said.err
    assert "failed: 'broken.md' cannot be parsed: the file is empty" in said.err
    assert "1 added, 1 failed, 1 refused; 1 chunks written" in said.out
    as_json = cli("ingest", str(folder), "--json")
    report = json.loads(as_json.out)
    assert (as_json.code, report["counts"]) == (3, {"unchanged": 1, "failed": 1, "refused": 1})
    assert [one["document"] for one in report["troubled"]] == ["broken.md", "nobody.txt"]
    assert report["origin"] == "docs"


def test_a_file_that_is_gone_is_named_once_and_is_no_failure(cli: Cli, folder: Path) -> None:
    (folder / "leaving.md").write_text("# Leaving\n\nIt was here.")
    assert cli("ingest", str(folder)).code == 0
    (folder / "leaving.md").unlink()
    said = cli("ingest", str(folder))
    assert (said.code, said.err.count("gone: 'leaving.md'")) == (0, 1)
    assert "1 gone, 1 unchanged; 0 chunks written" in said.out
    assert cli("ingest", str(folder)).err == ""


def test_what_stops_an_ingestion_is_two_and_one_line(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert "there is no folder or file 'none'" in refused(cli("ingest", str(tmp_path / "none")))
    assert "twinpin.yaml" in refused(cli("ingest", str(tmp_path / "versions")))
    (tmp_path / "releases.yaml").write_text("index: {}")
    assert "'releases.yaml' is not valid" in refused(cli("ingest", str(folder)))


def test_an_index_that_a_gateway_has_open_is_gone_through_it(cli: Cli, folder: Path, tmp_path: Path) -> None:
    store = EdgeStore.open(tmp_path / "data" / "indexes" / RECIPE.name, 32)
    assert "set TWINPIN_API_KEY" in refused(cli("ingest", str(folder)))
    asyncio.run(store.close())
    assert cli("ingest", str(folder)).code == 0


def test_a_source_is_told_what_its_configuration_names(
    cli: Cli, tmp_path: Path, environment: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crm.yaml").write_text(
        "kind: sql\norigin: crm\nurl: 'sqlite:///${CRM_FILE}'\nquery: SELECT 1\nfields: {id: id, text: text}\nrules: []"
    )
    assert "${CRM_FILE} is not set" in refused(cli("ingest", str(tmp_path / "crm.yaml")))


def test_a_process_ends_with_the_same_code(cli: Cli, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "ingest", "none"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "twinpin: there is no folder or file 'none'\n")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("module", ["deploy", "gateway"])
def test_a_setting_that_is_not_valid_is_named_and_its_value_is_not(module: str, tmp_path: Path) -> None:
    given = {**os.environ, "TWINPIN_DATA": str(tmp_path), "TWINPIN_PORT": "hunter2", "TWINPIN_BACKUP_DAYS": ""}
    command = [sys.executable, "-m", module, *(["keys", "list"] if module == "deploy" else [])]
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "TWINPIN_PORT: " in done.stderr
    assert "hunter2" not in done.stderr
    assert "BACKUP" not in done.stderr, "an empty one is as good as none"


def test_tables_in_a_pipe_cut_no_names(cli: Cli, folder: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("COLUMNS", "30")
    cli("ingest", str(folder))
    assert f" {RECIPE.name} " in cli("index", "list").out
    assert " a.md " in cli("documents", "list").out


def test_keys_are_created_listed_and_revoked(cli: Cli, tmp_path: Path) -> None:
    created = cli("keys", "create", "--tenant", "acme", "--subject", "ana", "--group", "staff", "--group", "hr")
    secret = created.out.strip()
    key = read_keys(tmp_path / "data" / "keys.yaml").find(secret)
    assert (created.code, key and key.groups) == (0, ["hr", "staff"])
    assert key is not None
    assert key.scopes == ["ask", "feedback", "search"]
    listed = cli("keys", "list")
    assert {secret[:10], "acme", "ana", "hr,staff"} <= set(listed.out.replace("│", " ").split())
    assert secret not in listed.out
    (row,) = json.loads(cli("keys", "list", "--json").out)
    assert (row["prefix"], row["tenant"]) == (secret[:10], "acme")
    assert cli("keys", "revoke", secret[:10]).out == f"revoked {secret[:10]} (acme, ana)\n"
    assert "0 keys have prefix" in refused(cli("keys", "revoke", secret[:10]))
    assert json.loads(cli("keys", "list", "--json").out) == []


def test_a_key_has_an_end_a_name_and_what_it_reaches(cli: Cli) -> None:
    made = ("keys", "create", "--tenant", "acme", "--subject", "desk", "--name", "help desk", "--scope", "act-as")
    secret = cli(*made, "--expires", "90d", "--allowed-group", "staff", "--by-name").out.strip()
    (row,) = json.loads(cli("keys", "list", "--json").out)
    assert (row["name"], row["allowed_groups"], row["by_name"], row["expired"]) == ("help desk", ["staff"], True, False)
    assert "digest" not in row
    ends = datetime.fromisoformat(row["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends <= timedelta(days=90)
    listed = cli("keys", "list").out
    assert "help desk" in listed
    assert "staff,(by name)" in listed
    assert secret not in listed
    assert "expires is 'soon'" in refused(cli(*made, "--expires", "soon"))


def test_a_scope_that_does_not_exist_is_refused(cli: Cli) -> None:
    said = cli("keys", "create", "--tenant", "a", "--subject", "b", "--scope", "everything")
    assert "unknown scope 'everything'" in refused(said)


def test_a_gateway_is_elsewhere_only_where_one_is_named(cli: Cli, environment: pytest.MonkeyPatch) -> None:
    assert not Settings().elsewhere
    environment.setenv("TWINPIN_URL", "")
    assert (Settings().elsewhere, Settings(port=8081).url) == (False, "http://127.0.0.1:8081")
    environment.setenv("TWINPIN_URL", "http://127.0.0.1:8080")
    assert Settings().elsewhere


def test_asking_needs_a_key(cli: Cli) -> None:
    assert "set TWINPIN_API_KEY" in refused(cli("ask", "what?"))
    assert "set TWINPIN_API_KEY" in refused(cli("search", "what?"))


def test_a_gateway_that_does_not_run_is_told(cli: Cli, environment: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    environment.setenv("TWINPIN_URL", f"http://127.0.0.1:{server.server_port}")
    environment.setenv("TWINPIN_API_KEY", "tp_x")
    assert f"nothing answers at http://127.0.0.1:{server.server_port}" in refused(cli("ask", "what?"))


PASSAGE = {
    "title": "Refunds [draft]",
    "source": "a.md",
    "text": "Within 45 days.",
    "span": [11, 26],
    "updated": "2026-03-01",
    "old": False,
    "scores": {"fused": 0.9, "dense": 0.8, "bm25": 1.5},
}
ANSWER: dict[str, Any] = {
    "id": "ans_1",
    "status": "review",
    "reason": "ungrounded",
    "answer": "Within 45 days [1]. Gladly.",
    "citations": [
        {
            "marker": 1,
            "source": "a.md",
            "span": [11, 26],
            "quote": "Within 45 days.",
            "support": 1.0,
            "origin": "model",
        }
    ],
    "unsupported": [[20, 27]],
    "versions": {"index": "idx-x", "model": "mdl-y"},
    "timings": {"total": 0.5},
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}


@pytest.fixture
def gateway(environment: pytest.MonkeyPatch) -> Any:
    """A gateway that gives prepared answers and keeps what it was sent."""
    sent: list[tuple[str, str, dict[str, Any]]] = []
    answers: dict[str, tuple[int, dict[str, Any]]] = {
        "/v1/answer": (200, ANSWER),
        "/v1/search": (200, {"passages": [PASSAGE]}),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent.append((self.path, self.headers["authorization"], body))
            status, answer = answers[self.path]
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        environment.setenv("TWINPIN_URL", f"http://127.0.0.1:{server.server_port}")
        environment.setenv("TWINPIN_API_KEY", "tp_secret")
        yield answers, sent
        server.shutdown()


def test_an_answer_is_shown_with_its_citations_and_versions(cli: Cli, gateway: Any) -> None:
    _, sent = gateway
    said = cli("ask", "How long?")
    assert (said.code, said.err) == (0, "")
    for part in ("Within 45 days [1].", "review (ungrounded)", "[1] a.md characters 11-26", "idx-x", "mdl-y", "Gladly"):
        assert part in said.out
    assert sent == [("/v1/answer", "Bearer tp_secret", {"question": "How long?"})]
    assert json.loads(cli("ask", "How long?", "--json").out) == ANSWER


def test_passages_are_shown_in_order(cli: Cli, gateway: Any) -> None:
    answers, sent = gateway
    said = cli("search", "refunds", "--limit", "3")
    assert "1. Refunds [draft]  a.md" in said.out
    assert "characters 11-26" in said.out
    assert sent[0][2] == {"query": "refunds", "limit": 3}
    answers["/v1/search"] = (200, {"passages": []})
    assert "nothing found" in cli("search", "refunds").out
    assert json.loads(cli("search", "refunds", "--json").out) == {"passages": []}


def test_what_the_gateway_refuses_is_told_in_its_words(cli: Cli, gateway: Any) -> None:
    answers, _ = gateway
    answers["/v1/answer"] = (401, {"error": {"message": "this API key is not known"}})
    assert "401 this API key is not known" in refused(cli("ask", "what?"))
    answers["/v1/answer"] = (502, {"proxy": "no"})
    assert "502 from something that is not a gateway of ours" in refused(cli("ask", "what?"))
