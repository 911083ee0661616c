"""A JSON API as a source, over a real connection: whatever it answers, nothing is taken for gone that was not seen."""

import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from retrieval.acl import Access
from retrieval.errors import AccessMissing, SourceError
from retrieval.ingest.sources import SourceDocument, Unusable
from retrieval.ingest.sources.api import ApiConfig, ApiSource
from retrieval.ingest.sources.secrets import Secrets
from retrieval.ingest.sources.transport import Bounds, CheckedTransport, Fetcher, Resolve, is_public

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
FIELDS = {"id": "id", "text": "body", "allow": "acl.readers"}


def page(*items: object, **more: object) -> Answer:
    return 200, {}, json.dumps({"data": {"items": items}, **more}).encode()


def item(name: str, text: str = "text") -> dict[str, object]:
    return {"id": name, "body": text, "acl": {"readers": ["group:staff"]}}


class Served:
    """A server on loopback that answers paths with what a test has put there, and remembers what it was asked."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.server, self.port = server, server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.answers: dict[str, Answer | Callable[[], Answer]] = {}
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def source(self, path: str = "/items", **changed: Any) -> ApiSource:
        said = {
            "kind": "api", "origin": "wiki", "url": self.url + path, "items": "data.items", "next": "links.next",
            "fields": FIELDS, "tenant": "acme", "http": True, "private": True, **changed,
        }  # fmt: skip
        resolve = said.pop("resolve", lambda host, port: [host])
        secrets = Secrets({"TOKEN": "s3cret/1"})
        return ApiSource(msgspec.convert(said, ApiConfig), "wiki.yaml", secrets, resolve)

    def documents(self, path: str = "/items", **changed: Any) -> dict[str, SourceDocument]:
        return {one.id: one for one in self.source(path, **changed).documents() if isinstance(one, SourceDocument)}


@pytest.fixture
def served() -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            one.asked.append((self.path, dict(self.headers)))
            found = one.answers.get(self.path, (404, {}, b""))
            status, headers, body = found() if callable(found) else found
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing goes to the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        one = Served(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield one
        server.shutdown()
        thread.join()


def test_every_item_is_a_document(served: Served) -> None:
    served.answers["/items"] = page(
        {"id": 7, "body": "é", "acl": {"readers": ["group:a"]}, "meta": {"day": "2026-03-04T10:00:00Z"}, "old": 6},
        {"id": "b/c", "body": "two", "acl": {"readers": "user:eve"}, "meta": None},
    )
    fields = {**FIELDS, "updated": "meta.day", "supersedes": "old"}
    found = served.documents(fields=fields, prefix="wiki", format="md", source="https://wiki.example/{id}")
    seven = found["wiki/7"].new()
    assert (seven.name, seven.raw, seven.origin, seven.updated) == ("7.md", "é".encode(), "wiki", date(2026, 3, 4))
    assert (seven.access, seven.supersedes) == (Access("acme", frozenset({"group:a"})), "wiki/6")
    other = found["wiki/b/c"].described()
    assert (other.name, other.updated, other.source) == ("c.md", None, "https://wiki.example/wiki/b/c")


def test_files_come_as_base64(served: Served) -> None:
    served.answers["/items"] = page(
        {"id": "a", "file": {"name": "a.pdf", "data": "JVBERg=="}, "acl": {"readers": ["group:a"]}},
        {"id": "b", "file": {"name": "b.pdf", "data": "!"}, "acl": {"readers": ["group:a"]}},
        {"id": "c", "acl": {"readers": ["group:a"]}},
    )
    fields = {"id": "id", "content": "file.data", "name": "file.name", "allow": "acl.readers"}
    found = served.documents(fields=fields)
    assert (found["a"].name, found["a"].content.read()) == ("a.pdf", b"%PDF")
    for name in ("b", "c"):
        assert found[name].access().allow == {"group:a"}
        with pytest.raises(SourceError, match=f"'{name}' has no usable content in 'file.data'"):
            found[name].content.read()


def test_items_that_are_none_or_have_no_id_are_refused_by_number(served: Served) -> None:
    served.answers["/items"] = page(item("a"), {"body": "x"}, "text", None, {"id": {"a": 1}}, {"id": True})
    found = list(served.source().documents())
    assert [one.place for one in found if isinstance(one, Unusable)] == [f"row {n}" for n in (2, 3, 4, 5, 6)]
    served.answers["/items"] = page({"name": "a"})
    with pytest.raises(SourceError, match="none of 1 rows has an id in 'id'"):
        served.documents()


def test_an_item_without_readers_is_refused(served: Served) -> None:
    served.answers["/items"] = page({"id": "a", "body": "x"}, {"id": "b", "body": "x", "acl": {"readers": {"x": 1}}})
    for document in served.documents().values():
        with pytest.raises(AccessMissing):
            document.access()


def test_next_links_are_followed_to_the_end(served: Served) -> None:
    served.answers["/items"] = page(item("a"), links={"next": "?page=2"})
    served.answers["/items?page=2"] = page(links={"next": f"{served.url}/more#x"})
    served.answers["/more"] = page(item("b"), links={"next": None})
    assert list(served.documents()) == ["a", "b"]


def test_pages_may_have_numbers_cursors_or_link_headers(served: Served) -> None:
    for number, items in enumerate(([item("a")], [item("b")], []), 1):
        served.answers[f"/items?size=1&page={number}"] = page(*items)
    assert list(served.documents("/items?size=1", next=None, page={"parameter": "page"})) == ["a", "b"]
    served.answers["/items"] = page(item("c"), after="x/1")
    served.answers["/items?after=x%2F1"] = page(item("d"), after="")
    assert list(served.documents(next=None, cursor={"parameter": "after", "path": "after"})) == ["c", "d"]
    served.answers["/items"] = (
        200,
        {"link": '</linked>; rel="next", </x>; rel="last"'},
        json.dumps([item("e")]).encode(),
    )
    served.answers["/linked"] = 200, {}, json.dumps([item("f")]).encode()
    assert list(served.documents(next=None, link=True, items="")) == ["e", "f"]


def test_headers_carry_secrets_and_no_message_does(served: Served) -> None:
    served.answers["/items?key=s3cret%2F1"] = page(item("a"))
    headers = {"authorization": "Bearer ${TOKEN}"}
    assert list(served.documents("/items?key=${TOKEN}", headers=headers)) == ["a"]
    asked = {name.lower(): value for name, value in served.asked[0][1].items()}
    assert (asked["authorization"], asked["accept-encoding"]) == ("Bearer s3cret/1", "identity")
    assert asked["host"] == f"127.0.0.1:{served.port}"
    for path, broken in (
        ("/other?key=${TOKEN}", headers),
        ("/items", {"x": "${TOKEN}\n"}),
        ("/items", {"a b": "${TOKEN}"}),
    ):
        with pytest.raises(SourceError) as refused:
            served.documents(path, headers=broken)
        assert "s3cret" not in f"{refused.value} {refused.value.__cause__}"
    with pytest.raises(SourceError, match=r"\$\{OTHER\} is not set"):
        served.documents(headers={"authorization": "${OTHER}"})


def broken_pages() -> Iterator[tuple[str, Answer, str]]:
    yield "an error", (500, {}, b"{}"), "status 500"
    yield "an error with items", (500, {}, page(item("b"))[2]), "status 500"
    yield "nothing", (204, {}, b""), "status 204"
    yield "not modified", (304, {}, b""), "status 304"
    yield "a part", (206, {}, page(item("b"))[2]), "status 206"
    yield "a redirect", (302, {"location": "/items"}, b""), "redirects elsewhere"
    yield "a redirect to another host", (301, {"location": "https://other.example/"}, b""), "redirects elsewhere"
    yield "no JSON", (200, {}, b"<html>"), "it is not JSON"
    yield "broken JSON", (200, {}, b'{"data": {"items": ['), "it is not JSON"
    yield "no UTF-8", (200, {}, b'{"data": "\xff"}'), "it is not JSON"
    yield "deep JSON", (200, {}, b"[" * 100_000), "it is not JSON"
    yield "no list", (200, {}, b'{"data": {"items": {"id": "b"}}}'), "no list at 'data.items'"
    yield "no items", (200, {}, b'{"error": "try later"}'), "no list at 'data.items'"
    yield "no object", (200, {}, b"[]"), "no list at 'data.items'"
    yield "a body cut short", (200, {"content-length": "9999", "connection": "close"}, b"{}"), "connection failed"
    yield "a compressed body", (200, {"content-encoding": "gzip"}, gzip.compress(b"{}")), "compressed"
    yield "a link elsewhere", page(links={"next": "https://other.example/"}), "'other.example', another origin"
    yield "a link to another scheme", page(links={"next": "https://127.0.0.1/x"}), "another origin"
    yield "a link to another port", page(links={"next": "http://127.0.0.1:1/"}), "another origin"
    yield "a link to a file", page(links={"next": "file:///etc/passwd"}), "another origin"
    yield "a link without scheme", page(links={"next": "//other.example/x"}), "another origin"
    yield "a link that is none", page(links={"next": "http://127.0.0.1:x/"}), "is no URL"
    yield "a link that is a list", page(links={"next": ["x"]}), "leads to no page"
    yield "a link to itself", page(links={"next": "?page=2"}), "go in a circle"
    yield "a link to the first", page(links={"next": "/items"}), "go in a circle"


@pytest.mark.parametrize(
    ("answer", "told"), [one[1:] for one in broken_pages()], ids=[one[0] for one in broken_pages()]
)
def test_a_page_that_cannot_be_had_whole_ends_the_reading(served: Served, answer: Answer, told: str) -> None:
    served.answers["/items"] = page(item("a"), links={"next": "?page=2"})
    served.answers["/items?page=2"] = answer
    with pytest.raises(SourceError, match=rf"page \d of wiki\.yaml: .*{told}"):
        served.source().documents()


def test_pages_that_never_end_are_bounded(served: Served) -> None:
    for number in range(9):
        served.answers[f"/items?n={number}"] = page(item(str(number)), links={"next": f"?n={number + 1}"})
    with pytest.raises(SourceError, match="more than 5 pages"):
        served.documents("/items?n=0", max_pages=5)
    served.answers["/items?page=1"] = served.answers["/items?page=2"] = page(item("same"))
    with pytest.raises(SourceError, match=r"page 2 of .* go in a circle"):
        served.documents(next=None, page={"parameter": "page"})


def test_bytes_of_all_pages_together_are_bounded(served: Served) -> None:
    for number in range(9):
        served.answers[f"/{number}"] = page(item(str(number), "x" * 600_000), links={"next": f"/{number + 1}"})
    with pytest.raises(SourceError, match=r"page 4 of wiki\.yaml: more than"):
        served.documents("/0", max_megabytes=2)


def test_one_giant_page_is_not_read_to_its_end(served: Served) -> None:
    served.answers["/items"] = 200, {}, b" " * (9 << 20)
    transport = CheckedTransport(lambda *_: ["127.0.0.1"], private=True)
    base = httpx2.URL(f"{served.url}/items")
    fetched = Fetcher(base, {}, Bounds(1 << 30, 1 << 20, 60), transport)
    with fetched as fetcher, pytest.raises(SourceError, match="more than 1 MiB"):
        fetcher.get(base)


def test_seconds_are_bounded(served: Served) -> None:
    served.answers["/items"] = page(item("a"))
    with pytest.raises(SourceError, match="more than 0 s"):
        served.documents(max_seconds=0)


def test_a_server_that_is_not_there_is_told_of(served: Served) -> None:
    with pytest.raises(SourceError, match=r"page 1 of wiki\.yaml: the connection failed \(ConnectError\)"):
        served.documents(url="http://127.0.0.1:1/items")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "2002:7f00:1::", "2001:0:7f00:1::", "::127.0.0.1"],
)  # fmt: skip
def test_private_addresses_are_refused_whatever_the_name(served: Served, address: str) -> None:
    assert not is_public(address)
    for found in ([address], ["93.184.216.34", address]):
        with pytest.raises(SourceError, match=r"'wiki\.example' is an address of a private network"):
            served.documents(url="https://wiki.example/items", private=False, resolve=lambda *_, found=found: found)
    assert served.asked == []


def test_public_addresses_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")


def test_the_address_that_was_checked_is_the_one_connected_to(served: Served) -> None:
    """A resolver that changes its mind is asked once a request, and its word then is both checked and used."""
    served.answers["/items"] = page(item("a"), links={"next": "/2"})
    served.answers["/2"] = page(item("b"))
    words = [["127.0.0.1"], ["127.0.0.1"], ["192.0.2.1"]]
    url = f"http://wiki.example:{served.port}/items"
    assert list(served.documents(url=url, resolve=lambda *_: words.pop(0))) == ["a", "b"]
    assert words == [["192.0.2.1"]]
    assert {dict(headers)["Host"] for _, headers in served.asked} == {f"wiki.example:{served.port}"}


def test_a_name_that_turns_private_between_two_pages_ends_the_reading(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.answers["/items"] = page(item("a"), links={"next": "/2"})
    words = [["127.0.0.1"], ["10.0.0.1"]]
    monkeypatch.setattr("retrieval.ingest.sources.transport.is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(SourceError, match=r"page 2 of .* private network"):
        served.documents(url=f"http://wiki.example:{served.port}/items", private=False, resolve=lambda *_: words.pop(0))


def test_the_next_address_of_a_name_is_tried(served: Served) -> None:
    served.answers["/items"] = page(item("a"))
    found = served.documents(resolve=lambda *_: ["::1", "127.0.0.1"])
    assert list(found) == ["a"]


def test_a_name_without_an_address_is_told_of(served: Served) -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    unknown: list[Resolve] = [nowhere, lambda *_: []]
    for resolve in unknown:
        with pytest.raises(SourceError, match=r"'127\.0\.0\.1' has no address"):
            served.documents(resolve=resolve)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of `wiki.example`, in one file, signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wiki.example")])
    start = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("wiki.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "wiki.pem"
    path.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return path


def test_a_certificate_has_to_be_the_names_whatever_the_address(served: Served, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    served.server.socket = context.wrap_socket(served.server.socket, server_side=True)
    served.answers["/items"] = page(item("a"))
    trusted = ssl.create_default_context(cafile=str(certificate))

    def body(host: str, trusts: ssl.SSLContext | None) -> bytes:
        transport = CheckedTransport(lambda *_: ["127.0.0.1"], private=True, trusted=trusts)
        base = httpx2.URL(f"https://{host}:{served.port}/items")
        with Fetcher(base, {}, Bounds(1 << 20, 1 << 20, 60), transport) as fetcher:
            return fetcher.get(base)[0]

    assert b'"a"' in body("wiki.example", trusted)
    for host, trusts in (("other.example", trusted), ("127.0.0.1", trusted), ("wiki.example", None)):
        with pytest.raises(SourceError, match="connection failed"):
            body(host, trusts)


def test_proxies_of_the_environment_are_not_used(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers["/items"] = page(item("a"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert list(served.documents()) == ["a"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"http": False}, "not encrypted"),
        ({"url": "ftp://x/y"}, "begin with https"),
        ({"url": "https:///y"}, "begin with https|is none"),
        ({"url": "https://x:y/"}, "is none"),
        ({"link": True}, "more than one of next"),
        ({"rules": [{"match": "*", "allow": ["group:x"]}]}, "allow by a field and by a rule"),
    ],
)
def test_descriptions_that_cannot_be_meant_are_refused(served: Served, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        served.source(**changed)
