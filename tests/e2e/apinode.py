"""The API node as a GPU node meets it: polls once a second with a budget of five, chats in
parallel, orders now and then, all over connections that are kept. Every request has an id of its
own in its target, and a record of how it ended, so that at the end of a day each can be accounted
for.
"""

import contextlib
import itertools
import json
import select
import threading
import time

from gateways import Wire, get, post
from harness import Failure, eventually, wait_on

BUDGET = 5  # seconds: what the API node gives a poll
PERIOD = 1  # seconds between two polls of one kind
PAUSE = 0.05  # after a failed chat
PROBE = 0.5  # a probe is early rather than patient: it may have gone to a dead session
MODEL = "Qwen/Qwen3-32B-FP8"
STATE, UP, STOP = "/api/v1/state", "/api/v1/inference/up", "/api/v1/stop"
POW = "/api/v1/inference/pow/"

# How a request ended. The first is success, the next four are failures that tell the truth.
ANSWERED = "answered"
REFUSED = "refused"  # 502 or 503, and an error in JSON that says why
CLOSED = "closed"  # no connection, or its end before any byte of an answer
TRUNCATED = "truncated"  # its end after the head and before the last chunk
LATE = "late"  # a poll that was given up when its budget was spent
HUNG = "hung"  # anything else that was: nobody gives those up
WRONG = "wrong"  # an answer that is not the one to this request


class Wrong(Exception):
    """What came is not an answer to what was asked."""


class Record:
    def __init__(self, number, kind):
        self.id = f"r{number}x"  # no id is the beginning of another one
        self.kind = kind
        self.began = time.monotonic()
        self.ended = None
        self.outcome = None
        self.status = None
        self.detail = ""

    def __str__(self):
        took = f"{self.ended - self.began:.2f} s" if self.ended else "not over"
        return f"{self.kind} {self.id}: {self.outcome} ({self.status}, {took}) {self.detail}"


class Book:
    """All records, in the order in which the requests began."""

    def __init__(self):
        self.numbers = itertools.count(1)
        self.records = []
        self.condition = threading.Condition()

    def begin(self, kind):
        with self.condition:
            record = Record(next(self.numbers), kind)
            self.records.append(record)
            return record

    def end(self, record, outcome, detail=""):
        with self.condition:
            record.outcome = outcome
            record.detail = record.detail or str(detail)
            record.ended = time.monotonic()
            self.condition.notify_all()

    def find(self, kind=None, outcome=None, since=0):
        """Those that began after `since` and are over."""
        return [
            r
            for r in self.records
            if (kind is None or r.kind == kind)
            and (outcome is None or r.outcome == outcome)
            and r.ended
            and r.began > since
        ]

    def wait(self, count, seconds, **what):
        def enough():
            found = self.find(**what)
            return found if len(found) >= count else None

        return wait_on(self.condition, enough, seconds, f"{count} requests with {what}")


class Call(Wire):
    """A connection whose answer has a deadline, however many pieces it comes in."""

    deadline = 0

    def more(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)
        super().more()


class Line:
    """One connection to a port, kept as Go's client keeps them: dropped on a failure, and when
    the other side closed it while it was idle."""

    def __init__(self, book, port):
        self.book = book
        self.port = port
        self.call = None

    def close(self):
        if self.call:
            self.call.close()
        self.call = None

    def open(self, seconds):
        if self.call and select.select([self.call.sock], [], [], 0)[0]:
            with contextlib.suppress(ConnectionError):
                if self.call.sock.recv(1):
                    raise Wrong("an answer that nobody asked for")
            self.close()
        if self.call is None:
            self.call = Call(self.port, timeout=seconds)
        self.call.deadline = time.monotonic() + seconds

    def ask(self, record, request, seconds, take, patient=True):
        """`take(call, head)` reads a 200 and raises Wrong for what does not belong to it."""
        try:
            self.open(seconds)
            self.call.sock.sendall(request)
            outcome, detail = self._answer(record, take)
        except TimeoutError:
            outcome, detail = (HUNG if patient else LATE), ""
        except (ConnectionError, Failure) as error:
            outcome, detail = (TRUNCATED if record.status else CLOSED), error
        except (Wrong, ValueError, KeyError, IndexError, AssertionError, StopIteration) as error:
            outcome, detail = WRONG, repr(error)
        if outcome != ANSWERED:
            self.close()
        self.book.end(record, outcome, detail)
        return record

    def _answer(self, record, take):
        head = self.call.head()
        record.status = head.status
        if head.status == 200:
            return ANSWERED, take(self.call, head) or ""
        body = self.call.body(head)
        if head.status not in (502, 503):
            raise Wrong(f"{head.first}: {body!r}")
        said = json.loads(body)
        return REFUSED, said["error"]["message"] if "error" in said else said["detail"]


def target(record, path):
    return f"{path}?id={record.id}"


# ---- what an answer must be ----------------------------------------------------------------------


def expect(condition, what):
    if not condition:
        raise Wrong(str(what))


def take_empty(call, head):
    expect(call.body(head) == b"", "a body")


def take_json(*keys):
    """The value of the first key; all must be there."""

    def take(call, head):
        answer = json.loads(call.body(head))
        expect(all(key in answer for key in keys), answer)
        return answer[keys[0]]

    return take


def take_tokens(count):
    def take(call, head):
        answer = json.loads(call.body(head))
        expect(answer["count"] == count and len(set(answer["tokens"])) == 1, answer)

    return take


class Chat:
    """One completion of `tokens` tokens, each of which carries the id of its request."""

    def __init__(self, record, tokens, rate, stream=True):
        self.record = record
        self.texts = [f"{record.id}-{n} " for n in range(tokens)]
        self.stream = stream
        self.seen = 0
        self.first = threading.Event()
        self.body = {
            "model": MODEL,
            "stream": stream,
            "mlgate_test": {"tokens": tokens, "rate": rate},
            "messages": [{"role": "user", "content": record.id}],
        }

    def request(self):
        return post(target(self.record, "/v1/chat/completions"), json.dumps(self.body).encode())

    def take(self, call, head):
        if not self.stream:
            text = json.loads(call.body(head))["choices"][0]["message"]["content"]
            expect(text == "".join(self.texts), text)
            return
        events = self.events(call)
        opening = json.loads(next(events))
        expect(opening["choices"][0]["delta"]["role"] == "assistant", opening)
        self.first.set()
        for text in self.texts:
            self.event(next(events), opening["id"], {"content": text})
            self.seen += 1
        self.event(next(events), opening["id"], {})
        expect(next(events) == "[DONE]", "no [DONE]")
        expect(next(events, None) is None, "more after [DONE]")

    @staticmethod
    def event(data, answer_id, delta):
        event = json.loads(data)
        expect(event["id"] == answer_id and event["choices"][0]["delta"] == delta, event)

    @staticmethod
    def events(call):
        """The data of each event until the last chunk."""
        buffer = b""
        for piece in iter(call.chunk, b""):
            *whole, buffer = (buffer + piece).split(b"\n\n")
            for event in whole:
                expect(event.startswith(b"data: "), event)
                yield event[6:].decode()
        expect(buffer == b"", buffer)


# ---- the node ------------------------------------------------------------------------------------


class ApiNode:
    """`inference` is 1{CLIENT_ID}, `poc` is 2{CLIENT_ID}. `bound`: the seconds after which a
    request without a budget of its own counts as hung."""

    def __init__(self, inference, poc, bound):
        self.book = Book()
        self.inference = inference
        self.poc = poc
        self.bound = bound
        self.over = threading.Event()
        self.threads = []

    def start(self, chats):
        state, health = take_json("state", "version"), take_json("service_state", "managers")
        for kind, port, path, take in (
            ("state", self.poc, STATE, state),
            ("state", self.inference, STATE, state),
            ("health", self.poc, "/health", health),
            ("health", self.inference, "/health", take_empty),
            ("models", self.inference, "/v1/models", take_json("data")),
        ):
            self.spawn(self._poll, kind, port, path, take)
        for number in range(chats):
            self.spawn(self._chat, number)
        return self

    def spawn(self, function, *words):
        thread = threading.Thread(target=function, args=words, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def close(self):
        """Every request that is under way comes to its end, by its own bound at the latest."""
        self.over.set()
        for thread in self.threads:
            thread.join(self.bound + BUDGET)
            if thread.is_alive():
                raise Failure("a request is not over")

    def _poll(self, kind, port, path, take):
        line = Line(self.book, port)
        while not self.over.is_set():
            record = self.book.begin(kind)
            line.ask(record, get(target(record, path)), BUDGET, take, patient=False)
            self.over.wait(PERIOD)
        line.close()

    def _chat(self, number):
        line = Line(self.book, self.inference)
        for turn in itertools.count(number):
            if self.over.is_set():
                break
            asked = self._tokenize(line, 1 + turn % 7)
            if asked.outcome == ANSWERED:
                asked = self.chat(line, tokens=5 + turn % 30, stream=turn % 4 != 3)
            if asked.outcome != ANSWERED:
                self.over.wait(PAUSE)
        line.close()

    def _tokenize(self, line, count):
        record = self.book.begin("tokenize")
        body = json.dumps({"model": MODEL, "prompt": " ".join([record.id] * count)}).encode()
        request = post(target(record, "/tokenize"), body)
        return line.ask(record, request, self.bound, take_tokens(count))

    def chat(self, line, tokens, rate=80, stream=True):
        chat = Chat(self.book.begin("chat"), tokens, rate, stream)
        return line.ask(chat.record, chat.request(), self.bound, chat.take)

    def begin_stream(self, kind, tokens, rate=40):
        """A stream of its own, under way: its first event has come."""
        chat = Chat(self.book.begin(kind), tokens, rate)
        line = Line(self.book, self.inference)
        self.spawn(line.ask, chat.record, chat.request(), self.bound, chat.take)
        if not chat.first.wait(BUDGET):
            raise Failure(f"no first event: {chat.record}")
        return chat

    def order(self, kind, path, body=None, take=None):
        """A POST without Content-Type, as the API node sends them; or a GET."""
        record = self.book.begin(kind)
        where = target(record, path)
        raw = json.dumps(body or {}).encode()
        request = get(where) if kind == "status" else post(where, raw, content_type=None)
        line = Line(self.book, self.poc)
        try:
            return line.ask(record, request, self.bound, take or take_json("status"))
        finally:
            line.close()

    def probe(self):
        """Whether a request on a connection of its own is answered at once."""
        record = self.book.begin("probe")
        line = Line(self.book, self.inference)
        request = get(target(record, "/v1/models"))
        try:
            line.ask(record, request, PROBE, take_json("data"), patient=False)
        finally:
            line.close()
        return record.outcome == ANSWERED

    def recovered(self, since, seconds):
        """The seconds from `since` to the first good answer."""
        eventually(self.probe, seconds, "the first good answer", pause=0.01)
        return time.monotonic() - since
