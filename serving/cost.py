"""What an answer costs by the list: token counts times the price that its model version pins."""

from serving.generator import Finish
from serving.manifest import Price

MILLION = 1_000_000


def list_cost(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """US dollars; cached prompt tokens cost as much as others."""
    return (prompt_tokens * price.input + completion_tokens * price.output) / MILLION


def cost_of(price: Price, finish: Finish) -> float:
    """US dollars for one finished generation."""
    return list_cost(price, finish.prompt_tokens, finish.completion_tokens)
