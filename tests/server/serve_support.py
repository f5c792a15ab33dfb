"""What the tests of `mig serve` share: a running server, requests to it, runs to wait for."""
import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
from urllib.parse import urlsplit

READ, WRITE = "read-token-0123456789abcdef", "write-token-0123456789abcdef"


class Answer:
    def __init__(self, response, data):
        self.status, self.headers, self.data = response.status, response.headers, data

    @property
    def json(self):
        return json.loads(self.data)

    def problem(self, status, *words):
        """An RFC 9457 problem with what, why and hint, and the words in it."""
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/problem+json", self
        doc = self.json
        assert doc["status"] == status and doc["title"] and doc["detail"] and doc["why"] and doc["hint"], self
        for word in words:
            assert word in json.dumps(doc), self
        return doc

    def __repr__(self):
        return f"{self.status}\n{self.headers}\n{self.data[:3000]}"


class Serve:
    """`mig serve` of a project, on a free port."""

    def __init__(self, project, *args, uri=None, **env):
        listen = [] if "--listen" in args else ["--listen", "127.0.0.1:0"]
        self.project = project
        self.err = open(project.folder / "serve.err", "w+")
        self.process = subprocess.Popen([os.environ["MIG_BIN"], "serve", "--json", "--verbose", *listen, *map(str, args)],
                                        cwd=project.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.err,
                                        text=True, env=project.environment(uri, **env))
        line = self.process.stdout.readline()
        assert line and "listening" in line, (line, self.log())
        self.url = json.loads(line)["listening"]
        self.parts = urlsplit(self.url)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        code = self.stop()
        if kind is None:
            assert code == 0, (code, self.log())

    def log(self):
        self.err.flush()
        return (self.project.folder / "serve.err").read_text()

    def stop(self, how=signal.SIGTERM, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.rest = self.process.communicate(timeout=timeout)[0]
        return self.process.returncode

    def connect(self, timeout=60):
        host, port = self.parts.hostname, self.parts.port
        if self.parts.scheme == "https":
            context = ssl.create_default_context(cafile=self.project.folder / "tls.crt")
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def send(self, method, path, body=None, token=None, headers=None, timeout=60):
        c = self.connect(timeout)
        all_headers = {}
        if body is not None and not isinstance(body, (bytes, str)):
            body, all_headers["Content-Type"] = json.dumps(body), "application/json"
        if token:
            all_headers["Authorization"] = f"Bearer {token}"
        all_headers.update(headers or {})
        try:
            c.request(method, path, body, all_headers)
            response = c.getresponse()
            return Answer(response, response.read())
        finally:
            c.close()

    def get(self, path, **how):
        return self.send("GET", path, **how)

    def post(self, path, body=None, **how):
        return self.send("POST", path, {} if body is None else body, **how)

    def finish(self, answer, seconds=90, token=None):
        """The run that was accepted, when it has ended."""
        assert answer.status == 202, answer
        assert answer.headers["Location"] == f"/api/runs/{answer.json['id']}"
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            run = self.get(answer.headers["Location"], token=token).json
            if run["state"] not in ("queued", "running"):
                return run
            time.sleep(0.1)
        raise AssertionError(run)


def tokens_file(project, mode=0o600):
    import hashlib
    path = project.folder / "tokens"
    path.write_text(f"# who may do what\nread sha256:{hashlib.sha256(READ.encode()).hexdigest()} grafana\n\nwrite {WRITE} deploy\n")
    path.chmod(mode)
    return path


def certificate(project):
    crt, key = project.folder / "tls.crt", project.folder / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", crt],
                   check=True, capture_output=True)
    key.chmod(0o600)
    return crt, key


def together(count, work):
    """Calls work(i) from many threads; what each gave."""
    out = [None] * count

    def one(i):
        out[i] = work(i)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    return out
