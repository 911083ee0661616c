"""Asks a recorded question again, and says what is different from the answer that was recorded."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.client import MADE_ANEW, Gateway
from deploy.desk import Shown
from serving.records import json_digest, question_digest

_COMPARED = ("outcome", "reason", "index", "model", "confidence", "prompt_tokens", "completion_tokens", "cost")


class CannotReplay(Exception):
    """What the record holds is not enough to ask again; the text says what to add."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is another one now."""

    what: str
    before: object
    after: object


def question_of(record: Shown, given: str | None) -> dict[str, Any]:
    """What to ask: recorded words, held against their digests; a question may be given in place of its own."""
    if record["kind"] != "answer":
        raise CannotReplay(f"{record['id']!r} is not the record of an answer")
    person, words = record["person"], record["words"]
    if "question_digest" not in person:
        raise CannotReplay(f"who asked {record['id']!r}, and what, was erased")
    question = given or words.get("question") or ""
    if question_digest(question) != person["question_digest"]:
        told = "this is not the question that was asked" if given else "its question was not kept word for word"
        raise CannotReplay(f"{record['id']!r}: {told}; give it with --question")
    format = _format(record)
    if not record["facts"].get("turns"):
        return {"question": question, **format}
    if json_digest(words.get("history")) != person["history_digest"]:
        raise CannotReplay(
            f"{record['id']!r} answers a follow-up, and the turns before it were not kept word for word: "
            f"ask the whole conversation again"
        )
    before = [{"role": role, "content": text} for role, text in words["history"]]
    return {"messages": [*before, {"role": "user", "content": question}], **format}


def _format(record: Shown) -> dict[str, Any]:
    """The response format that was asked for: it is among the words, as it may hold some."""
    if not record["facts"]["formatted"]:
        return {}
    kept = record["words"].get("response_format")
    format = json.loads(kept) if kept else None
    if json_digest(format) != record["person"]["format_digest"]:
        raise CannotReplay(
            f"{record['id']!r} has a response format that was not kept word for word: ask again with that format"
        )
    return {"response_format": format}


def replay(gateway: Gateway, record: Shown, asked: dict[str, Any], index: str | None, model: str | None) -> Shown:
    """The record of the new answer, with its text, made by the recorded versions or by those that are named."""
    facts, narrowed = record["facts"], record["person"].get("narrowed") or {}
    narrowing = {name: value for name, value in narrowed.items() if value} or None
    body = {
        **asked,
        "max_tokens": facts["max_tokens"],
        "filter": narrowing,
        "retrieval": facts.get("retrieval", "auto"),
    }
    forced = {"x-twinpin-index": index or facts["index"], "x-twinpin-model": model or facts["model"]}
    answer = gateway.call("POST", "/v1/answer", body, headers={**forced, **MADE_ANEW})
    return {**gateway.call("GET", f"/v1/records/{answer['id']}"), "answer": answer["answer"]}


def differences(before: Shown, after: Shown) -> Iterator[Difference]:
    """What is not the same: the answer's text only where it was kept."""
    for name in _COMPARED:
        if before["facts"][name] != after["facts"][name]:
            yield Difference(name, before["facts"][name], after["facts"][name])
    for name in ("passages", "citations"):
        was, now = _places(before, name), _places(after, name)
        if was != now:
            yield from (Difference(f"{name}: gone", one, None) for one in was if one not in now)
            yield from (Difference(f"{name}: new", None, one) for one in now if one not in was)
            if sorted(was) == sorted(now):
                yield Difference(f"{name}: order", was, now)
    said = before["words"].get("answer")
    if said is not None and said != after["answer"]:
        yield Difference("answer", said, after["answer"])


def _places(record: Shown, name: str) -> list[str]:
    found = record["sources"].get(name, ())
    return [f"{one['document']}@{one['version'][:15]} {one['start']}-{one['end']}" for one in found]
