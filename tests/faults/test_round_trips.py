"""What a command that has nothing to do costs: every message of every connection, handshakes and watching included."""
import pytest

from wireproxy import WireProxy

MOST = 10


@pytest.mark.parametrize("migrations", [3, 300])
def test_up_with_nothing_pending_takes_at_most_ten_round_trips(project, migrations):
    for n in range(migrations):
        project.write(f"{n:04d}_add", {"up": [{"createCollection": {"collection": "users"}}]})
    project.mig("up", "--steps", "1")
    project.mig("baseline", f"{migrations - 1:04d}", "--why", "only the first is run")
    with WireProxy(project.uri) as proxy:
        result = project.mig("up", uri=proxy.uri)
        seen = [f"{name} {what}" for name, what in proxy.log]
    assert "nothing to do" in result.out + result.err, result
    assert proxy.messages <= MOST, f"{proxy.messages} messages: {seen}"
