"""A run of `mig up` that waits in the middle of its steps for as long as a test looks: however fast the server is.

    with held(project) as run:      # the reply to a batch of an update of `collection` is held; its progress is written
        ... look ...
    run.out, run.err, run.returncode, run.pid
"""
import contextlib
import time

from wireproxy import HoldReply, Rule, WireProxy

PROGRESS_EVERY = 1.0  # seconds, engine/run/watch.c


def patient(proxy):
    """A reply may be held for longer than the proxy's own patience of 15 s."""
    return proxy.uri.replace("socketTimeoutMS=15000", "socketTimeoutMS=120000")


def late(conn, message, body):
    """The server does it, and its answer comes so late that progress is due."""
    reply = conn.ask(message)
    time.sleep(PROGRESS_EVERY + 0.2)
    conn.client.sendall(reply)


@contextlib.contextmanager
def held(p, *args, collection="users"):
    """From the sixth batch on it waits; the fifth was late, so what was done until then is written."""
    hold = HoldReply()
    with WireProxy(p.uri, [Rule("update", late, collection=collection, nth=5), Rule("update", hold, collection=collection, nth=5)]) as proxy:
        run = p.start("up", *args, uri=patient(proxy))
        run.out = run.err = None
        try:
            assert hold.reached.wait(60), run.communicate()
            yield run
        finally:
            hold.released.set()
            run.out, run.err = run.communicate(timeout=120)
