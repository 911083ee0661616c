"""`twinpin explain`, `replay` and `records`, on this machine's database and through a gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
import sqlalchemy as sa
import structlog

from deploy.client import Gateway
from deploy.desk import Shown
from deploy.exporting import export_records
from deploy.keys import create_key
from deploy.settings import Settings
from retrieval.catalog import Catalog
from retrieval.errors import CatalogError
from retrieval.records.described import described
from retrieval.records.record import Kept, Record
from retrieval.records.store import RecordStore
from retrieval.sql.tables import records
from tests.deploy.commandline import Cli, refused, serving
from tests.gateway.house import PAYOUT, REFUND, REFUND_QUESTION, House, make_house
from tests.gateway.librarians import hire
from tests.retrieval.records.samples import answer


async def write(made: Sequence[Record], batches: int = 2) -> None:
    """As a gateway leaves them: the last one is still in its spool."""
    settings = Settings()
    async with (
        Catalog.open(settings.catalog) as catalog,
        RecordStore.open(catalog, settings, settings.record_spool_bytes) as store,
    ):
        for start in range(batches):
            for one in made[start:-1:batches]:
                await store.spool.keep(one)
            await store.settle()
        await store.spool.keep(made[-1])


async def tamper(record: str) -> None:
    async with Catalog.open(Settings().catalog) as catalog, catalog.database.begin() as connection:
        await connection.execute(sa.update(records).where(records.c.id == record).values(tenant="third"))


def employ(house: House, environment: pytest.MonkeyPatch) -> House:
    """With the key of somebody who may do everything."""
    scopes = ["ask", "admin", "release:override"]
    key = create_key(house.settings.keys, tenant="acme", subject="ops", groups=["staff"], scopes=scopes)
    environment.setenv("TWINPIN_API_KEY", key)
    house.model.says(f"{REFUND[:-1]} [1].")
    return house


@pytest.fixture
def operator(served: House, environment: pytest.MonkeyPatch) -> House:
    """A gateway whose records keep digests."""
    return employ(served, environment)


@pytest.fixture
def keeping(tmp_path: Path, environment: pytest.MonkeyPatch) -> Iterator[House]:
    """A gateway whose records keep words."""
    house = hire(make_house(tmp_path / "house", record_content="redacted"))
    with structlog.testing.capture_logs(), serving(house) as url:
        environment.setenv("TWINPIN_URL", url)
        yield employ(house, environment)


def ask(house: House, cli: Cli) -> str:
    said = cli("ask", REFUND_QUESTION, "--json")
    identified: str = json.loads(said.out)["id"]
    return identified


def test_a_chain_is_verified_and_tampering_is_named(cli: Cli) -> None:
    asyncio.run(write([answer(n) for n in range(7)]))
    whole = cli("records", "verify")
    assert (whole.code, whole.err) == (0, "")
    assert whole.out.startswith("7 records in 3 batches are as they were written; head 3:")
    head = whole.out.split()[-1]
    assert cli("records", "verify", "--head", head).code == 0
    other = cli("records", "verify", "--head", f"2:{'0' * 64}", "--json")
    assert (other.code, json.loads(other.out)["fault"]["batch"]) == (3, 2)
    asyncio.run(tamper("ans_0003"))
    broken = cli("records", "verify")
    assert broken.code == 3
    assert "record ans_0003" in broken.out
    assert cli("records", "verify", "--head", "nonsense").code == 2


def test_records_are_exported_as_json_lines_and_as_parquet(cli: Cli, tmp_path: Path) -> None:
    made = [answer(n, tenant="acme" if n % 2 else "other") for n in range(9)]
    asyncio.run(write(made))
    lines, columns = tmp_path / "a.jsonl", tmp_path / "a.parquet"
    assert cli("records", "export", str(lines)).out == f"9 records written to {lines}\n"
    assert cli("records", "export", str(columns), "--tenant", "acme", "--format", "parquet").code == 0
    exported = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [one["id"] for one in exported] == [one.id for one in made]
    assert exported[1]["words"] == {"answer": "Within 45 days, said number 1."}
    rows = read_parquet(columns)
    assert [row["id"] for row in rows] == [one.id for one in made if one.tenant == "acme"]
    assert json.loads(rows[0]["words"]) == exported[1]["words"]
    assert (rows[0]["batch"], rows[0]["review"]) == (exported[1]["batch"], False)
    assert lines.stat().st_mode & 0o077 == 0
    assert "exist" in refused(cli("records", "export", str(lines)))
    late = tmp_path / "late.parquet"
    assert cli("records", "export", str(late), "--since", "2999-01-01", "--format", "parquet").code == 0
    assert read_parquet(late) == []


def read_parquet(path: Path) -> list[dict[str, Any]]:
    from arro3.io import read_parquet

    table = read_parquet(path).read_all()
    columns = {name: table[name].to_pylist() for name in table.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def sizes_in(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.iterdir()]


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
async def test_an_export_that_fails_leaves_nothing(format: Literal["jsonl", "parquet"], tmp_path: Path) -> None:
    file = tmp_path / "records"
    shown = [described(Kept(answer(n), 1, n, ("-",) * 4, "")) for n in range(2_500)]

    async def breaking() -> AsyncIterator[Shown]:
        for one in shown:
            yield one
        raise CatalogError("SQL is away")

    async def whole() -> AsyncIterator[Shown]:
        for one in shown:
            yield one

    with pytest.raises(CatalogError, match="SQL is away"):
        await export_records(breaking(), file, format)
    assert sizes_in(tmp_path) == []
    assert await export_records(whole(), file, format) == 2_500
    assert len(sizes_in(tmp_path)) == 1
    assert mode_of(file) == 0o600


async def test_parquet_is_written_while_records_are_read(tmp_path: Path) -> None:
    """What is in the file's first row groups is not held until the last record is there."""
    one, sizes = described(Kept(answer(1), 1, 0, ("-",) * 4, "")), []

    async def growing() -> AsyncIterator[Shown]:
        for n in range(25_000):
            if n % 5_000 == 0:
                sizes.append(sum(sizes_in(tmp_path)))
            yield {**one, "id": f"ans_{n:08}"}

    assert await export_records(growing(), tmp_path / "records.parquet", "parquet") == 25_000
    assert sizes[-1] > sizes[0]


def test_a_person_is_erased_on_this_machine(cli: Cli) -> None:
    asyncio.run(write([answer(1), answer(2, subject="bob")]))
    done = cli("records", "erase", "--tenant", "acme", "--subject", "ana")
    assert (done.code, done.out.split()[0]) == (0, "1")
    shown = json.loads(cli("explain", "ans_0001", "--json").out)
    assert (shown["subject"], shown["erased"]) == (None, ["person", "words"])
    assert json.loads(cli("explain", "ans_0002", "--json").out)["subject"] == "bob"
    assert cli("records", "verify").code == 0


def test_an_answer_is_explained(operator: House, cli: Cli) -> None:
    record = ask(operator, cli)
    shown = json.loads(cli("explain", record, "--json").out)
    assert (shown["id"], shown["subject"], shown["facts"]["outcome"]) == (record, "ops", "answered")
    told = cli("explain", record).out
    for word in (record, "ops", "policies/refunds.md", "fused", "outcome: answered", "assignment: index DEFAULT"):
        assert word in told
    assert "behind this gateway" in refused(cli("explain", "ans_none"))


def test_no_name_of_a_record_leads_elsewhere(operator: House, cli: Cli) -> None:
    there = ask(operator, cli)
    for name in ("..", ".", "../usage", "../../healthz", f"{there}?tenant=other", f"{there}#x", "%2E%2E/usage", "ü 1"):
        assert f"there is no record {name!r} behind this gateway" in refused(cli("explain", name))


def test_an_answer_is_replayed_and_what_differs_is_shown(operator: House, cli: Cli) -> None:
    record = ask(operator, cli)
    assert "--question" in refused(cli("replay", record)), "only the digest of the question is kept"
    assert "not the question that was asked" in refused(cli("replay", record, "--question", "Another?"))
    same = json.loads(cli("replay", record, "--question", REFUND_QUESTION, "--json").out)
    assert (same["before"], same["differences"]) == (record, [])
    operator.model.says(f"{PAYOUT[:-1]} [2].")
    found = json.loads(cli("replay", record, "--question", REFUND_QUESTION, "--json").out)["differences"]
    assert {one["what"] for one in found} >= {"citations: gone", "citations: new"}
    table = cli("replay", record, "--question", REFUND_QUESTION)
    assert "citations: new" in table.out
    missing = refused(cli("replay", record, "--question", REFUND_QUESTION, "--index", "idx-none"))
    assert "no open index version" in missing


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
ANSWERED = {"role": "assistant", "content": "Within 45 days."}
NAMING = {"role": "assistant", "content": "Within 45 days, says ana@acme.example."}


def asked(**body: object) -> str:
    with Gateway(Settings()) as gateway:
        return str(gateway.call("POST", "/v1/answer", body)["id"])


def follow_up(answered: dict[str, str]) -> list[dict[str, str]]:
    question = {"role": "user", "content": REFUND_QUESTION}
    return [question, answered, question]


def test_what_was_not_kept_is_not_asked_as_something_else(operator: House, cli: Cli) -> None:
    formatted = asked(question=REFUND_QUESTION, response_format=SCHEMA)
    assert "response format" in refused(cli("replay", formatted, "--question", REFUND_QUESTION))
    later = asked(messages=follow_up(ANSWERED))
    assert "turns before it" in refused(cli("replay", later, "--question", REFUND_QUESTION))


def test_what_was_kept_word_for_word_is_asked_again_and_what_was_redacted_is_not(keeping: House, cli: Cli) -> None:
    whole = asked(messages=follow_up(ANSWERED), response_format=SCHEMA)
    again = json.loads(cli("replay", whole, "--json").out)["after"]
    before, after = (json.loads(cli("explain", one, "--json").out)["person"] for one in (whole, again))
    for name in ("question_digest", "history_digest", "format_digest"):
        assert before[name] == after[name] is not None
    assert "turns before it" in refused(cli("replay", asked(messages=follow_up(NAMING))))


def test_a_person_is_erased_through_the_gateway(operator: House, cli: Cli) -> None:
    record = ask(operator, cli)
    done = json.loads(cli("records", "erase", "--tenant", "acme", "--subject", "ops", "--json").out)
    assert done["records"] == 1
    assert json.loads(cli("explain", record, "--json").out)["subject"] is None
    assert "was erased" in refused(cli("replay", record))


def test_records_are_exported_through_the_gateway(operator: House, cli: Cli, tmp_path: Path) -> None:
    made = [ask(operator, cli) for _ in range(3)]
    file = tmp_path / "records.jsonl"
    assert cli("records", "export", str(file), "--kind", "answer", "--since", "2020-01-01").code == 0
    assert [json.loads(line)["id"] for line in file.read_text("utf-8").splitlines()] == made
