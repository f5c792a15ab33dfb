"""A real S3 server (versitygw, over a plain folder) on a port of its own, and a proxy that makes it misbehave.

    server = S3Server(program, folder); bucket = server.bucket("name")
    with S3Proxy(server, [Fault(method="PUT", nth=2, action=answer(503))]) as proxy: ... AWS_ENDPOINT_URL=proxy.url ...

The folder is looked at without S3: objects() are the files below a bucket, uploads() the unfinished ones. The proxy passes
requests on as they are, so that their signatures hold. It keeps (method, path, status) of each.
"""
import http.client
import http.server
import os
import socket
import subprocess
import threading
import time
import urllib.parse

ACCESS, SECRET = "testAccessKey4711", "testSecretKey/0815+Xyz"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class S3Server:
    def __init__(self, program, folder):
        self.program, self.folder, self.port = program, folder, free_port()
        (folder / "root").mkdir()
        (folder / "side").mkdir()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        env = dict(os.environ, ROOT_ACCESS_KEY=ACCESS, ROOT_SECRET_KEY=SECRET)
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([self.program, "-q", "--keep-alive", "--port", f"127.0.0.1:{self.port}", "posix", "--sidecar",
                                         self.folder / "side", self.folder / "root"], env=env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        raise AssertionError("the S3 server does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def bucket(self, name):
        (self.folder / "root" / name).mkdir()
        return Bucket(self, name)


class Bucket:
    def __init__(self, server, name):
        self.server, self.name, self.folder = server, name, server.folder / "root" / name

    def env(self, endpoint=None, **changes):
        env = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
               "AWS_ENDPOINT_URL": endpoint or self.server.url}
        return {**env, **changes}

    def objects(self):
        """Paths below the bucket, in order."""
        return sorted(str(f.relative_to(self.folder)) for f in self.folder.rglob("*")
                      if f.is_file() and ".sgwtmp" not in f.parts)

    def uploads(self):
        """The folders of unfinished uploads, one each."""
        return sorted(f for f in self.folder.glob(".sgwtmp/multipart/*/*") if f.is_dir())


class Fault:
    """From the nth fitting request on, `times` times (None: for ever), `action` answers in the server's place."""

    def __init__(self, action, method=None, query=None, nth=1, times=1):
        self.action, self.method, self.query, self.nth, self.times, self.seen = action, method, query, nth, times, 0

    def fits(self, method, path):
        if (self.method and method != self.method) or (self.query and self.query not in urllib.parse.urlsplit(path).query):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)


# ---- actions: (handler, body) -> None -------------------------------------------------------------------------------

def answer(status, code="InternalError", text="", headers=()):
    def act(handler, body):
        data = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
        handler.reply(status, [("Content-Type", "application/xml"), *headers], data)
    return act


def lose_answer(handler, body):
    """The server does it, the client never hears of it."""
    handler.forward(body)
    handler.cut()


def cut(handler, body):
    handler.cut()


def change_body(handler, body):
    """One bit of what is sent is turned."""
    handler.pass_on(bytes([body[0] ^ 1]) + body[1:])


def hang(handler, body):
    time.sleep(60)
    handler.cut()


def then(function):
    """Something happens (a kill, a replaced object) before the request is passed on."""
    def act(handler, body):
        function()
        handler.pass_on(body)
    return act


def cut_body(handler, body):
    """Half of the answer's body, then the end of the connection."""
    status, headers, data = handler.forward(body)
    handler.reply(status, headers, data[:len(data) // 2], length=len(data))
    handler.cut()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        with proxy.lock:
            fault = next((f for f in proxy.faults if f.fits(self.command, self.path)), None)
        try:
            fault.action(self, body) if fault else self.pass_on(body)
        except OSError:
            self.close_connection = True  # the other side is gone

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def forward(self, body):
        host, port = "127.0.0.1", self.server.proxy.target.port
        connection = http.client.HTTPConnection(host, port, timeout=120)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            connection.putheader(name, value)  # Host too: it is signed
        connection.endheaders(body or None)
        answered = connection.getresponse()
        data = answered.read()
        headers = [(n, v) for n, v in answered.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        connection.close()
        self.server.proxy.seen.append((self.command, self.path, answered.status))
        return answered.status, headers, data

    def pass_on(self, body):
        self.reply(*self.forward(body))

    def reply(self, status, headers, data, length=None):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def cut(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args):
        pass


class S3Proxy:
    def __init__(self, target, faults=()):
        self.target, self.faults, self.seen, self.lock = target, list(faults), [], threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.proxy = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
