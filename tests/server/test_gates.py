"""What `mig serve` refuses: strangers, browsers tricked by other sites, clients that take too much; and servers away."""
import json
import os
import signal
import socket
import ssl
import stat
import time

import pytest

from cli_support import add_field, hold, three, three_lines
from serve_support import READ, WRITE, Serve, certificate, together, tokens_file
from wireproxy import Rule, WireProxy, lose_request


@pytest.fixture
def served(project):
    three(project)
    with Serve(project, "--rate-limit", "1000") as s:
        yield s


@pytest.fixture
def guarded(project):
    three(project)
    with Serve(project, "--tokens", tokens_file(project), "--rate-limit", "1000") as s:
        yield s


def described(served):
    return served.get("/openapi.json").json["paths"]


# ---- tokens --------------------------------------------------------------------------------------------------------

def test_every_path_of_the_api_wants_a_token_of_its_scope(guarded):
    seen = 0
    for path, methods in described(guarded).items():
        for method, spec in methods.items():
            url = path.replace("{id}", "x")
            body = {"body": {}} if method == "post" else {}
            if not spec["security"]:
                continue
            seen += 1
            for token in (None, "wrong-token-0123456789abcd", WRITE[:-1], WRITE + "x", ""):
                answer = guarded.send(method.upper(), url, **body, token=token)
                answer.problem(401, "token")
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            if method == "post":
                guarded.send("POST", url, {}, token=READ).problem(403, "write")
                assert guarded.send("POST", url, {"nonsense": 1}, token=WRITE).status in (400, 404)
            else:
                assert guarded.send("GET", url, token=READ).status in (200, 404)
                assert guarded.send("GET", url, token=WRITE).status in (200, 404)
    assert seen == 14
    for path in ("/", "/app.js", "/app.css", "/openapi.json", "/health"):
        assert guarded.get(path).status == 200


def test_session_tells_name_and_scope(guarded, project):
    assert guarded.get("/api/session", token=READ).json | {"version": ""} == {
        "version": "", "server": guarded.get("/api/session", token=READ).json["server"], "database": project.name, "scope": "read",
        "name": "grafana", "tokens": True}
    assert guarded.get("/api/session", token=WRITE).json["scope"] == "write"


def test_tokens_stand_in_no_log_and_no_answer(guarded, project):
    guarded.post("/api/migrations/up", {"steps": 1}, token=WRITE)
    guarded.get("/api/runs", token="a-wrong-but-secret-token-1")
    everything = guarded.log() + json.dumps([guarded.get(p, token=READ).data.decode() for p in ("/api/runs", "/metrics", "/api/migrations/status")])
    for secret in (READ, WRITE, "a-wrong-but-secret-token-1"):
        assert secret not in everything
    assert "deploy" in everything


@pytest.mark.parametrize("content, mode, words", [
    (f"write {WRITE} x\n", 0o644, "can be read by others"),
    (f"write {WRITE} x\n", 0o620, "can be read by others"),
    ("write short x\n", 0o600, "20 characters"),
    (f"admin {WRITE} x\n", 0o600, "neither read nor write"),
    (f"write sha256:{'g' * 64}\n", 0o600, "64 digits"),
    (f"write {WRITE} a b\n", 0o600, "more behind"),
    (f"write {WRITE}\nread {WRITE}\n", 0o600, ":2"),
    ("# nobody\n", 0o600, "holds no token"),
    (f"write {WRITE} \x1b[31m\n", 0o600, "a name is of"),
])
def test_a_token_file_that_is_unsafe_or_wrong_is_refused(project, content, mode, words):
    path = project.folder / "tokens"
    path.write_text(content)
    path.chmod(mode)
    result = project.mig("serve", "--listen", "127.0.0.1:0", "--tokens", "tokens", code=2)
    three_lines(result, words)
    assert WRITE not in result.err + result.out


# ---- where it listens ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("give", [[], ["tokens"], ["tls"]])
def test_outside_loopback_tokens_and_tls_are_both_required(project, give):
    args = []
    if "tokens" in give:
        args += ["--tokens", tokens_file(project)]
    if "tls" in give:
        crt, key = certificate(project)
        args += ["--tls-cert", crt, "--tls-key", key]
    for listen in ("0.0.0.0:0", "[::]:0"):
        three_lines(project.mig("serve", "--listen", listen, *args, code=2), "refused to listen")


def test_with_tokens_and_tls_it_serves_everybody(project):
    crt, key = certificate(project)
    with Serve(project, "--listen", "0.0.0.0:0", "--tokens", tokens_file(project), "--tls-cert", crt, "--tls-key", key) as s:
        assert s.url.startswith("https://")
        s.parts = s.parts._replace(netloc=f"127.0.0.1:{s.parts.port}")
        s.get("/api/session").problem(401)
        assert s.get("/api/session", token=READ, headers={"Host": "mig.example"}).status == 200
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", s.parts.port)) as raw:
            old.wrap_socket(raw)


def test_a_key_that_others_may_read_or_that_does_not_fit_is_refused(project):
    crt, key = certificate(project)
    key.chmod(0o644)
    three_lines(project.mig("serve", "--tls-cert", crt, "--tls-key", key, code=2), "can be read by others")
    key.write_text("nonsense")
    key.chmod(0o600)
    three_lines(project.mig("serve", "--listen", "127.0.0.1:0", "--tls-cert", crt, "--tls-key", key, code=2), "cannot serve")
    three_lines(project.mig("serve", "--tls-cert", crt, code=2), "go together")


@pytest.mark.parametrize("listen", ["127.0.0.1", "8080", "127.0.0.1:70000", "::1:80", "[::1:80", "127.0.0.1:x", ":80", "no.such.host.invalid:80"])
def test_an_address_that_cannot_be_is_refused(project, listen):
    three_lines(project.mig("serve", "--listen", listen, code=2), "cannot listen on")


def test_a_port_that_is_taken_is_told(served):
    result = served.project.mig("serve", "--listen", f"127.0.0.1:{served.parts.port}", code=2)
    three_lines(result, "cannot serve on")


# ---- browsers of other sites ---------------------------------------------------------------------------------------

def test_without_tokens_only_names_of_this_machine_are_answered(served):
    for host in ["evil.example", "evil.example:8737", "127.0.0.1.evil.example", "localhost.evil.example", "", "127.0.0.1:8737@evil"]:
        for path in ("/", "/api/migrations/status", "/health"):
            served.get(path, headers={"Host": host}).problem(421)


def test_names_of_this_machine_and_tunnels_to_it_are_answered(served):
    for host in ("localhost", "localhost:9999", "127.0.0.1", "[::1]:8737"):
        assert served.get("/api/session", headers={"Host": host}).status == 200


def test_a_page_of_another_site_changes_nothing(served):
    for headers in [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1:1"}]:
        served.post("/api/migrations/up", headers=headers).problem(403, "another site")
        assert served.get("/api/runs").json["runs"] == []


def test_only_json_is_taken_which_forms_cannot_send(served):
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None, "application/jsonx"]:
        served.send("POST", "/api/migrations/up", b"{}", headers={"Content-Type": kind} if kind is not None else {}).problem(415)
        assert served.get("/api/runs").json["runs"] == []


def test_own_page_may(served):
    own = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}
    assert served.post("/api/migrations/up", headers=own).status == 202


def test_every_answer_has_its_security_headers(served):
    for path in ("/", "/app.js", "/api/session", "/nothing", "/health"):
        h = served.get(path).headers
        assert h["X-Content-Type-Options"] == "nosniff" and h["X-Frame-Options"] == "DENY" and h["Referrer-Policy"] == "no-referrer"
        policy = h["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert not h.get("Access-Control-Allow-Origin")
    assert served.get("/api/session").headers["Cache-Control"] == "no-store"


# ---- requests that are wrong ---------------------------------------------------------------------------------------

def test_wrong_methods_are_told_the_right_ones(served):
    for path, methods in described(served).items():
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            if method.lower() in methods:
                continue
            answer = served.send(method, path.replace("{id}", "x"), b"{}", headers={"Content-Type": "application/json"})
            answer.problem(405)
            assert all(m.upper() in answer.headers["Allow"] for m in methods)


def test_bodies_that_cannot_be_are_refused_and_nothing_runs(served):
    for body in [b"", b"{", b"[]", b"null", b'"x"', b"{}{}", b'{"steps": 1, "steps": 2}', b'{"steps": "1"}', b'{"stepz": 1}',
        b'{"steps": -1}', b'{"steps": 1.5}', b'{"steps": 99999999999999999999}', b'{"to": ""}', b'{"to": "a\\u0000b"}',
        b"\xff\xfe", b'{"a":' * 200 + b"1" + b"}" * 200, b'{"to": {"$gt": ""}}', b"\x00"]:
        served.send("POST", "/api/migrations/up", body, headers={"Content-Type": "application/json"}).problem(400)
        assert served.get("/api/runs").json["runs"] == []


def test_a_body_that_is_too_large_is_refused_and_the_next_request_is_served(served):
    headers = {"Content-Type": "application/json"}
    big = b'{"to": "' + b"x" * (2 << 20) + b'"}'
    served.send("POST", "/api/migrations/up", big, headers=headers).problem(413)
    pieces = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(40)) + b"0\r\n\r\n"
    with socket.create_connection((served.parts.hostname, served.parts.port), timeout=30) as c:
        c.sendall(b"POST /api/migrations/up HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Transfer-Encoding: chunked\r\n\r\n" + pieces)
        assert c.recv(100).startswith(b"HTTP/1.1 413")
    try:
        assert served.send("POST", "/api/migrations/up", b"x" * (64 << 20), headers=headers).status == 413
    except OSError:
        pass  # it does not read that much only to be polite
    assert served.get("/api/runs").json["runs"] == []


def test_head_has_the_headers_and_no_body(served):
    answer = served.send("HEAD", "/api/session")
    assert answer.status == 200 and answer.data == b"" and int(answer.headers["Content-Length"]) > 0


def test_what_did_not_change_is_not_sent_again(served):
    first = served.get("/app.js")
    assert served.get("/app.js", headers={"If-None-Match": first.headers["ETag"]}).status == 304


def test_raw_nonsense_harms_nothing(served):
    for raw in (b"\x00" * 5000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000, b"\x16\x03\x01" + os.urandom(300),
                b"POST /api/migrations/up HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n"):
        with socket.create_connection((served.parts.hostname, served.parts.port), timeout=20) as c:
            try:
                c.sendall(raw)
                c.shutdown(socket.SHUT_WR)
                c.recv(1000)
            except OSError:
                pass
    assert served.get("/health").status == 200


# ---- clients that take too much ------------------------------------------------------------------------------------

def test_who_asks_too_often_waits(project):
    three(project)
    with Serve(project, "--rate-limit", "5") as s:
        answers = [s.get("/api/session") for _ in range(40)]
        refused = [a for a in answers if a.status == 429]
        assert 15 <= len(refused) <= 30 and answers[0].status == 200
        refused[0].problem(429, "too many")
        assert int(refused[0].headers["Retry-After"]) >= 1
        time.sleep(1.2)
        assert s.get("/api/session").status == 200


def test_guessing_tokens_is_paid_for_by_waiting(project):
    with Serve(project, "--tokens", tokens_file(project), "--rate-limit", "20") as s:
        answers = [s.get("/api/session", token=f"guess-{i:030}").status for i in range(12)]
        assert answers[:3] == [401] * 3 and 429 in answers


def test_many_at_once_are_all_answered(served):
    paths = ("/api/migrations/status", "/api/migrations/history", "/api/snapshots", "/metrics", "/health", "/api/runs")

    def ask(i):
        try:
            return served.get(paths[i % len(paths)])
        except OSError:  # more than 32 connections from one address are closed at once
            return None
    answers = together(60, ask)
    statuses = [a.status if a else None for a in answers]
    assert statuses.count(200) >= 30 and all(s in (200, 429, 503, None) for s in statuses), statuses
    assert served.get("/health").status == 200


def test_connections_that_say_nothing_do_not_keep_others_out(served):
    idle = [socket.create_connection((served.parts.hostname, served.parts.port)) for _ in range(25)]
    assert served.get("/health").status == 200
    for c in idle:
        c.close()


@pytest.mark.long
def test_a_client_that_dribbles_is_cut_off(served):
    began = time.monotonic()
    with socket.create_connection((served.parts.hostname, served.parts.port), timeout=60) as c:
        c.sendall(b"GET /api/session HTTP/1.1\r\nHost: localhost\r\n")
        try:
            while time.monotonic() - began < 55:
                c.sendall(b"X: y\r\n")  # never idle, never done
                c.settimeout(1)
                try:
                    if c.recv(100) == b"":
                        break
                except TimeoutError:
                    pass
        except OSError:
            pass
    assert 15 < time.monotonic() - began < 50
    assert served.get("/health").status == 200


# ---- the database is away ------------------------------------------------------------------------------------------

def test_database_away_is_503_quickly_and_back_when_it_is_back(project):
    three(project)
    away = Rule(None, lose_request, nth=1, times=0)
    with WireProxy(project.uri, [away]) as proxy, Serve(project, uri=proxy.uri) as s:
        assert s.get("/api/migrations/status").status == 200 and s.get("/health").json == {"status": "ok"}
        away.times = None
        time.sleep(1.1)
        began = time.monotonic()
        s.get("/health").problem(503)
        for path in ("/api/migrations/status", "/api/migrations/history", "/api/migrations/lock/status"):
            s.get(path).problem(503)
        assert time.monotonic() - began < 15
        assert b"\nmig_up 0\n" in s.get("/metrics").data
        assert s.get("/").status == 200 and s.get("/api/runs").status == 200 and s.get("/api/snapshots").status == 200
        away.times = 0
        until = time.monotonic() + 20
        while s.get("/health").status != 200:
            assert time.monotonic() < until
            time.sleep(0.3)
        assert s.get("/api/migrations/status").status == 200


def test_it_starts_while_the_database_is_away(project):
    with Serve(project, uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300") as s:
        s.get("/health").problem(503, "127.0.0.1:1")
        assert s.finish(s.post("/api/migrations/up"))["state"] == "failed"


def test_strangers_learn_no_addresses_from_health(project):
    with Serve(project, "--tokens", tokens_file(project), uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300") as s:
        assert b"127.0.0.1:1" not in s.get("/health").data
        s.get("/health", token=READ).problem(503, "127.0.0.1:1")


def test_sigint_stops_it_as_well(project):
    s = Serve(project)
    assert s.stop(signal.SIGINT) == 0
    with pytest.raises(OSError):
        s.get("/health", timeout=2)
