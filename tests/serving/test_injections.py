"""No special token gets into a prompt's template from text that others wrote, by the tokenizers' own judgement."""

from collections.abc import Sequence

import pytest
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from serving.generator import Message
from serving.prompt import Evidence, PromptBudget, build_prompt
from serving.untrusted import without_special_tokens
from serving.weights import directory_name
from tests.conftest import RunningStack
from tests.gateway.house import pinned_manifest
from tests.serving.injections import TOKENS, injections

TEMPLATE = pinned_manifest().prompt
BUDGET = PromptBudget(context_tokens=100_000, answer_tokens=100, message_overhead_tokens=4)


def every_family() -> Tokenizer:
    """A byte-level tokenizer that knows the special tokens of all families, and finds them as any of theirs does."""
    alphabet = {character: number for number, character in enumerate(ByteLevel.alphabet())}
    tokenizer = Tokenizer(BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in TOKENS])
    return tokenizer


def special_in(tokenizer: Tokenizer, texts: Sequence[str]) -> set[str]:
    added = tokenizer.get_added_tokens_decoder()
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return {added[number].content for one in encoded for number in one.ids if number in added}


def prompted(attack: str) -> Sequence[str]:
    """What the chat template is given when a text stands in every place where others' text may stand."""
    poisoned = Evidence(1, attack, "v", attack, attack, (attack, attack), None, 0, len(attack), attack, header=attack)
    history = [Message("user", attack), Message("assistant", attack), Message("user", attack)]
    prompt = build_prompt(
        TEMPLATE, question=attack, history=history, evidence=[poisoned], budget=BUDGET, count_tokens=len
    )
    assert len(prompt.messages) == 5
    return [message.content for message in prompt.messages]


def test_no_token_of_any_family_is_found_in_10000_prompts() -> None:
    tokenizer = every_family()
    attacks = list(injections(10_000))
    assert special_in(tokenizer, attacks) == set(TOKENS), "the control: as they come, every one is found"
    assert special_in(tokenizer, [text for attack in attacks for text in prompted(attack)]) == set()


@pytest.mark.real_engine
def test_the_served_models_own_tokenizer_finds_none_either(running_stack: RunningStack) -> None:
    folder = running_stack.settings.models / directory_name(pinned_manifest().base.digest)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    attacks = list(injections(10_000))
    assert len(special_in(tokenizer, attacks)) > 10
    assert special_in(tokenizer, [text for attack in attacks for text in prompted(attack)]) == set()


@pytest.mark.parametrize(
    "prose",
    [
        "If a < b and b > c, see [3], [sic] and [Note]; 5 <= 6, x -> y, a << 2 and b >> 3.",
        "| Room | Price |\n|---|---|\n| Attic | 610 |",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f467 ~10 %, [a~b]",
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    assert without_special_tokens(prose) == prose
