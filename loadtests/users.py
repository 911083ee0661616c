"""Who asks: one kind of user for each scenario, each as one caller of the sample, with their own permissions."""

import random
import secrets
import time
from collections.abc import Iterator
from typing import Any

from locust import FastHttpUser, between, task
from locust.contrib.fasthttp import ResponseContextManager

from loadtests.plan import Plan, Question, read_plan
from loadtests.thresholds import LEAK, REFUSED

_REFUSED = 429
_CHUNK = 64  # bytes: a larger read would wait for several pieces, and so would the first token


class Asker(FastHttpUser):
    """Takes a golden question and asks it as its caller; what may not come back fails the request."""

    abstract = True
    wait_time = between(0.05, 0.3)
    network_timeout = 60.0

    def on_start(self) -> None:
        """Users draw alike in every run."""
        self.plan: Plan = read_plan(self.environment.parsed_options.plan)
        self.rng = random.Random(self.environment.runner.user_count)  # noqa: S311 - a load, not a secret

    def ask(self, name: str, path: str, body: dict[str, Any], asked: Question) -> Any:
        """The answer's JSON, None where there was none."""
        with self.client.post(
            path, json=body, headers=self.headers(asked.caller), name=name, catch_response=True
        ) as got:
            if not self.answered(name, got):
                return None
            told = got.json()
            if leaked := _documents(told) & set(asked.forbidden):
                got.failure(f"{LEAK}: {asked.caller} was shown {', '.join(sorted(leaked))}")
            return told

    def answered(self, name: str, got: ResponseContextManager) -> bool:
        """Whether there is an answer; a refusal that says when to come back is no failure, and is counted apart."""
        if got.status_code == _REFUSED and "retry-after" in (got.headers or {}):
            got.request_meta["request_type"] = REFUSED  # quick as it is, it must not make answers look so
            got.success()
            return False
        if got.status_code != 200:
            got.failure(f"status {got.status_code}")
            return False
        return True

    def headers(self, caller: str) -> dict[str, str]:
        """Who asks."""
        return {"authorization": f"Bearer {self.plan.keys[caller]}"}

    def question(self) -> Question:
        """Any of the sample's."""
        return self.rng.choice(self.plan.questions)


class Short(Asker):
    """One question, one answer."""

    @task
    def one(self) -> None:
        """`/v1/answer` as JSON."""
        asked = self.question()
        self.ask("answer", "/v1/answer", {"question": asked.question}, asked)


class Chat(Asker):
    """A conversation of three questions of one caller, each with all that was said before."""

    @task
    def conversation(self) -> None:
        """`/v1/chat/completions` with a growing history."""
        first = self.question()
        own = [one for one in self.plan.questions if one.caller == first.caller]
        said: list[dict[str, str]] = []
        for asked in self.rng.sample(own, min(3, len(own))):
            said.append({"role": "user", "content": asked.question})
            told = self.ask("chat", "/v1/chat/completions", {"model": "twinpin", "messages": said}, asked)
            if told is None:
                return
            said.append({"role": "assistant", "content": told["choices"][0]["message"]["content"]})


class Stream(Asker):
    """Reads the answer as it comes; the time to its first words is an event of its own."""

    @task
    def streamed(self) -> None:
        """`/v1/answer` as server-sent events, which have to end with `done`."""
        asked, started = self.question(), time.perf_counter()
        with self.client.post(
            "/v1/answer",
            json={"question": asked.question, "stream": True},
            headers=self.headers(asked.caller),
            name="stream",
            stream=True,
            catch_response=True,
        ) as got:
            if not self.answered("stream", got):
                return
            body = b"".join(self._pieces(got, started))
            if not body.endswith(b"event: done\ndata: {}\n\n"):
                got.failure(f"the stream ended without `done`: {body[-80:]!r}")

    def _pieces(self, got: ResponseContextManager, started: float) -> Iterator[bytes]:
        heard, waiting = b"", True
        for piece in got.iter_content(_CHUNK, decode_content=False):
            heard = (heard + piece)[-2 * _CHUNK :]
            if waiting and b"event: delta" in heard:
                self._first_token(time.perf_counter() - started)
                waiting = False
            yield piece

    def _first_token(self, seconds: float) -> None:
        self.environment.events.request.fire(
            request_type="TTFT", name="first token", response_time=1_000 * seconds, response_length=0,
            exception=None, context={},
        )  # fmt: skip


class Search(Asker):
    """Finding alone."""

    @task
    def one(self) -> None:
        """`/v1/search`."""
        asked = self.question()
        self.ask("search", "/v1/search", {"query": asked.question, "limit": 5}, asked)


class Churn(Asker):
    """Writes documents while the others ask: what is put is found, what is deleted is found no more."""

    @task
    def churned(self) -> None:
        """Put, find, take away, and find no more."""
        word = f"zyx{secrets.token_hex(5)}"
        path, writer = f"/v1/documents/load-{word}.md", {"authorization": f"Bearer {self.plan.writer}"}
        body = {"title": word, "text": f"# {word}\n\nThe code of the day is {word}.\n"}
        access = {"tenant": self.plan.tenant, "allow": ["user:load"], "deny": []}
        put = {**body, "access": access}
        with self.client.put(path, json=put, headers=writer, name="put", catch_response=True) as got:
            if got.status_code not in (200, 201):
                got.failure(f"status {got.status_code}: {got.text[:200]}")
                return
        self._found(word, writer, wanted=True)
        with self.client.delete(path, headers=writer, name="delete", catch_response=True) as got:
            if got.status_code != 200:
                got.failure(f"status {got.status_code}: {got.text[:200]}")
                return
        self._found(word, writer, wanted=False)

    def _found(self, word: str, writer: dict[str, str], *, wanted: bool) -> None:
        body = {"query": f"the code of the day {word}", "limit": 5}
        with self.client.post("/v1/search", json=body, headers=writer, name="find again", catch_response=True) as got:
            if self.answered("find again", got) and (f"load-{word}.md" in _documents(got.json())) != wanted:
                got.failure("what was put is not found" if wanted else f"{LEAK}: what was deleted is found")


def _documents(told: Any) -> set[str]:
    """Every document that an answer names, wherever it does."""
    if isinstance(told, list):
        return set().union(*map(_documents, told)) if told else set()
    if not isinstance(told, dict):
        return set()
    own = {told["document"]} if isinstance(told.get("document"), str) else set()
    return own.union(*map(_documents, told.values())) if told else own
