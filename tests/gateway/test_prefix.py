"""What the engine may compute once: a prompt's beginning is the same bytes wherever it is made, under our own salt."""

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.gateway.house import PAYOUT, REFUND_QUESTION, House

SALT = "c0ffee" * 8
# A prompt as another process makes it, whose hashes are seeded otherwise.
RENDERING = """
import hashlib
from serving.generator import Message
from serving.prompt import Evidence, PromptBudget, build_prompt
from tests.gateway.house import PAYOUT, REFUND, REFUND_QUESTION, pinned_manifest

evidence = [
    Evidence(marker, f"d{marker}", "sha256:0", f"Title {marker}", "source", ("A", "B"), None, 0, len(text), text)
    for marker, text in enumerate((REFUND, PAYOUT), start=1)
]
prompt = build_prompt(
    pinned_manifest().prompt,
    question=REFUND_QUESTION,
    history=[Message("user", "Hello"), Message("assistant", "Hello.")],
    evidence=evidence,
    budget=PromptBudget(2_000, 96, 8),
    count_tokens=lambda text: len(text.split()),
)
print(hashlib.sha256(repr(prompt.messages).encode()).hexdigest())
"""


def rendered(seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", RENDERING], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_prompt_is_the_same_bytes_in_every_process() -> None:
    assert len(one := rendered("1")) == 64
    assert one == rendered("2")


def test_what_is_the_same_for_everybody_stands_first(house: House) -> None:
    for question in (REFUND_QUESTION, f"{PAYOUT[:-1]}?"):
        house.ask(question)
    first, second = (exchange.request.messages for exchange in house.generator.exchanges)
    assert first[0].role == "system"
    assert first[0] == second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("where", [{"cache_salt": SALT}, {"extra_body": {"cache_salt": SALT}}], ids=["field", "extra"])
def test_a_client_names_no_salt(house: House, where: dict[str, Any]) -> None:
    """It would share, or measure, what the engine has computed for others."""
    assert house.ask(**where).status_code == 422
    told = house.chat(**where)
    assert told.status_code == 200
    assert told.json()["twinpin"]["ignored"] == list(where)
    house.chat()
    salts = {exchange.request.cache_salt for exchange in house.generator.exchanges}
    assert len(salts) == 1
    assert SALT not in salts
