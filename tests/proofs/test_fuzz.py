"""Requests that nobody would write, by what `/openapi.json` promises: none is a fault, none is let in unknown."""

import asyncio
import shutil
import sys
from pathlib import Path

import pytest

from deploy.keys import create_key
from tests.gateway.house import make_house
from tests.gateway.test_live import serving

# `act-as` is left out: it is about headers alone
SCOPES = ["ask", "search", "feedback", "documents:write", "review", "release:read", "admin", "metrics"]
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection", "ignored_auth",
)  # fmt: skip


async def test_no_request_is_a_fault_of_the_gateway(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As an administrator, whom no missing scope keeps from the code behind it."""
    house = make_house(tmp_path / "house", max_concurrency=64)
    key = create_key(house.settings.keys, tenant="acme", subject="fuzz", groups=["staff"], scopes=SCOPES)
    async with serving(house) as live:
        program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
        assert program is not None
        running = await asyncio.create_subprocess_exec(
            *(program, "run", f"http://127.0.0.1:{live.port}/openapi.json", "--checks", ",".join(CHECKS)),
            *("--header", f"Authorization: Bearer {key}", "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(request.config.getoption("--fuzz")), "--seed", "7", "--continue-on-failure"),
            *("--request-timeout", "60", "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told = (await running.communicate())[0].decode()
    assert running.returncode == 0, told
