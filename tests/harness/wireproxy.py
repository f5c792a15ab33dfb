"""A scripted MongoDB wire proxy: forwards to a real server, and does on demand what no real server does.

    with WireProxy(uri, [Rule("commitTransaction", action=lose_reply)]) as proxy:
        ... connect to proxy.uri ...

Only OP_MSG (2013) bodies are looked at: the command is the first key of section 0. Rules are tried in order, the first
that matches acts; `nth` and `times` count the messages that fit the rule's command (and collection), over all
connections. The log holds every command seen, so that a test can say how often something was sent.
"""
import socket
import struct
import threading
import time
import urllib.parse

import bson

OP_MSG = 2013
MORE_TO_COME = 2


class Rule:
    """command (None: any) and collection select; from the nth match on, `times` times (None: for ever), action acts."""

    def __init__(self, command, action, collection=None, nth=1, times=1, when=None):
        self.command, self.action, self.collection = command, action, collection
        self.nth, self.times, self.when, self.seen = nth, times, when, 0

    def fits(self, body):
        name = next(iter(body), None)
        if (self.command and name != self.command) or (self.collection and body.get(name) != self.collection):
            return False
        if self.when and not self.when(body):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


class NthMessage(Rule):
    """The nth message of any command but the driver's own; from there on, `times` times."""

    HOUSEKEEPING = {None, "hello", "isMaster", "ismaster", "endSessions", "killCursors"}

    def __init__(self, nth, action, times=1):
        super().__init__(None, action, nth=nth, times=times)

    def fits(self, body):
        if next(iter(body), None) in self.HOUSEKEEPING:
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


# ---- actions: (proxy, connection, message, body) -> None; each decides what reaches whom ----------------------------

class Cut(Exception):
    """The connection to the client ends here."""


def lose_reply(conn, message, body):
    """The server does it; the client never hears."""
    conn.ask(message)
    raise Cut


def lose_request(conn, message, body):
    """The server never hears of it."""
    raise Cut


def cut_in_request(conn, message, body):
    """Half of it reaches the server."""
    conn.server.sendall(message[:len(message) // 2])
    raise Cut


def cut_in_reply(conn, message, body):
    """The server does it; half of what it says is heard."""
    reply = conn.ask(message)
    conn.client.sendall(reply[:len(reply) // 2])
    raise Cut


def deliver_late(seconds):
    """The server gets it after so long, whether anybody still waits for the answer or not."""
    def act(conn, message, body):
        time.sleep(seconds)
        conn.ask(message)
        raise Cut
    return act


def reply_late(seconds):
    """The server does it at once; the client hears of it after so long."""
    def act(conn, message, body):
        reply = conn.ask(message)
        time.sleep(seconds)
        conn.client.sendall(reply)
    return act


def reply_with(document):
    """The server never hears of it; the client is told `document`."""
    def act(conn, message, body):
        conn.answer(message, document)
    return act


def do_but_reply_with(document):
    """The server does it; the client is told something else."""
    def act(conn, message, body):
        conn.ask(message)
        conn.answer(message, document)
    return act


def change_reply(change):
    """The server does it; change(reply) is what the client hears."""
    def act(conn, message, body):
        reply = conn.ask(message)
        conn.answer(message, change(bson.decode(reply[21:])))
    return act


def error_reply(code, labels=()):
    return reply_with(error(code, "scripted", labels))


def delay(seconds):
    def act(conn, message, body):
        time.sleep(seconds)
        conn.client.sendall(conn.ask(message))
    return act


def call_first(function):
    """function(body) runs while the client waits; then the message goes its way."""
    def act(conn, message, body):
        function(body)
        conn.client.sendall(conn.ask(message))
    return act


def without_progress():
    """A rule: what a running migration tells of itself once a second is refused, which no run minds. The second server commits
    no transaction while others write, and takes that for others."""
    return Rule("update", error_reply(8000), collection="migrationlocks", times=None,
                when=lambda body: body["updates"][0]["q"].get("_id") == "mig.progress")


class HoldReply:
    """An action: the server does it, and its answer waits at `released`; meanwhile `reached` is set.

    The client is then surely waiting for that answer: nothing else of its is on the way.
    """

    def __init__(self):
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, conn, message, body):
        reply = conn.ask(message)
        self.reached.set()
        self.released.wait(120)
        conn.client.sendall(reply)


def error(code, message="scripted", labels=()):
    return {"ok": 0.0, "code": code, "errmsg": message, "codeName": "Scripted", "errorLabels": list(labels)}


class Connection(threading.Thread):
    def __init__(self, proxy, client):
        super().__init__(daemon=True)
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(proxy.upstream)

    def read(self, sock):
        head = self.exactly(sock, 4)
        return head + self.exactly(sock, struct.unpack("<i", head)[0] - 4)

    @staticmethod
    def exactly(sock, count):
        parts = []
        while count:
            part = sock.recv(min(count, 1 << 20))
            if not part:
                raise Cut
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def ask(self, message):
        self.server.sendall(message)
        return self.read(self.server)

    def answer(self, message, document):
        body = b"\0\0\0\0\0" + bson.encode(document)
        request = struct.unpack_from("<i", message, 4)[0]
        self.client.sendall(struct.pack("<iiii", 16 + len(body), 0, request, OP_MSG) + body)

    def body_of(self, message):
        if struct.unpack_from("<i", message, 12)[0] != OP_MSG or message[20] != 0:
            return {}
        size = struct.unpack_from("<i", message, 21)[0]
        return bson.decode(message[21:21 + size])

    def run(self):
        try:
            while True:
                message = self.read(self.client)
                with self.proxy.lock:
                    self.proxy.messages += 1
                body = self.body_of(message)
                rule = self.proxy.rule_for(body)
                if rule:
                    rule.action(self, message, body)
                else:
                    self.client.sendall(self.ask(message))
        except (Cut, OSError):
            pass
        finally:
            self.client.close()
            self.server.close()


class WireProxy:
    def __init__(self, uri, rules=()):
        parts = urllib.parse.urlsplit(uri)
        host = parts.netloc.rsplit("@", 1)[-1].split(",")[0]
        self.upstream = (host.rsplit(":", 1)[0], int(host.rsplit(":", 1)[1]) if ":" in host else 27017)
        self.rules, self.log, self.lock = list(rules), [], threading.Lock()
        self.messages = 0  # of clients, handshakes included
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        # directConnection: a replica set would tell its real address, and the client would go there
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true&socketTimeoutMS=15000"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                Connection(self, client).start()
            except OSError:  # the server is away: so is this connection
                client.close()

    def rule_for(self, body):
        with self.lock:
            name = next(iter(body), None)
            if name:
                self.log.append((name, body.get(name)))
            for rule in self.rules:
                if rule.fits(body):
                    return rule
        return None

    def count(self, command):
        with self.lock:
            return sum(1 for name, _ in self.log if name == command)

    def since(self, mark):
        """Commands seen since mark() as (command, collection)."""
        with self.lock:
            return self.log[mark:]

    def mark(self):
        with self.lock:
            return len(self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
