"""Every kind of collection, index and option through a migration that fails: back as it was, or refused before a write.

What a server does not take is left out and told by the name of the part; a server that takes nothing is a failure.
"""
import bson
import pytest
from bson import Int64

from cli_support import three_lines
from wireproxy import Rule, WireProxy, error, reply_with

FAILS = {"insert": {"collection": "witness", "documents": [{"_id": 1}]}}  # it is there: the last step fails

INDEXES = {
    "compound": {"key": {"a": 1, "b": -1}},
    "unique": {"key": {"u": 1}, "unique": True},
    "sparse": {"key": {"s": 1}, "sparse": True},
    "ttl": {"key": {"t": 1}, "expireAfterSeconds": 360000},
    "partial": {"key": {"p": 1}, "partialFilterExpression": {"p": {"$gt": 5}}},
    "text": {"key": {"x": "text", "y": "text"}, "weights": {"x": 3, "y": 1}, "default_language": "english"},
    "hashed": {"key": {"h": "hashed"}},
    "sphere": {"key": {"g": "2dsphere"}},
    "flat": {"key": {"f": "2d"}, "bits": 20},
    "wildcard": {"key": {"w.$**": 1}},
    "hidden": {"key": {"i": 1}, "hidden": True},
    "collation": {"key": {"c": 1}, "collation": {"locale": "de", "strength": 2}},
}
OPTIONS = {
    "capped": {"capped": True, "size": 65536, "max": 1000},
    "validator": {"validator": {"n": {"$gte": 0}}},
    "moderate": {"validator": {"n": {"$gte": 0}}, "validationLevel": "moderate", "validationAction": "warn"},
    "collation": {"collation": {"locale": "en", "strength": 2}},
    "images": {"recordPreImages": True},
}
NAMES = ["with space", "with.dot", "ümläut", "per%cent", "-dash", "$dollar", "a" * 100, "quote\"d", "back\\slash", "new\nline"]


def refused(call, *args, **more):
    try:
        said = call(*args, **more)
        if not (isinstance(said, dict) and said.get("writeErrors")):
            return False
    except Exception as error:  # whatever a server or the driver says
        said = error
    print(f"left out: {str(args)[:100]} {str(more)[:100]}: {str(said)[:100]}")
    return True


def options_of(p, name):
    return next((c for c in p.db.list_collections() if c["name"] == name), {}).get("options", {})


def destroyed_and_undone(p, *steps):
    """The migration does all of its steps and fails; everything is as it was."""
    p.db.witness.insert_one({"_id": 1})
    before = p.digest()
    names = sorted(c["name"] for c in p.db.list_collections())
    p.write("0001_destroy", {"transaction": "off", "up": [*steps, FAILS]})
    result = p.mig("up", code=3)
    assert p.digest() == before, result
    assert [n for n in names if n not in p.db.list_collection_names()] == []


@pytest.mark.parametrize("how", ["dropped", "emptied"])
def test_every_kind_of_index_comes_back(project, how):
    p = project
    p.db.users.insert_many([{"_id": i, "a": i, "u": i, "p": i, "x": "some words", "i": i, "c": str(i), "h": i,
                             "g": {"type": "Point", "coordinates": [i, 1]}, "f": [i, 1], "w": {"deep": i}} for i in range(30)])
    made = [name for name, spec in INDEXES.items()
            if not refused(p.db.command, "createIndexes", "users", indexes=[{**spec, "name": name}])]
    assert {"compound", "unique", "sparse"} <= set(made)
    if how == "dropped":
        destroyed_and_undone(p, {"dropCollection": {"collection": "users"}})
    else:
        destroyed_and_undone(p, *[{"dropIndex": {"collection": "users", "name": name}} for name in made],
                             {"delete": {"collection": "users", "filter": {}}})


def collated(p):
    """A collection for which "a" is "A", with documents and indexes for which it is not."""
    if refused(p.db.create_collection, "users", **OPTIONS["collation"]) or not options_of(p, "users"):
        pytest.skip("this server makes no collections with a collation")
    p.db.users.insert_many([{"_id": i, "u": u, "x": "some words", "h": i, "f": [i, 1],
                             "g": {"type": "Point", "coordinates": [i, 1]}} for i, u in enumerate("aAbB")])
    specs = {name: {**INDEXES[name], "collation": {"locale": "simple"}}
             for name in ("unique", "text", "hashed", "sphere", "flat")}
    specs["inherits"] = {"key": {"i": 1}}
    made = [name for name, spec in specs.items()
            if not refused(p.db.command, "createIndexes", "users", indexes=[{**spec, "name": name}])]
    if "unique" not in made:
        pytest.skip("this server takes no simple collation in a collection with another")
    return made


@pytest.mark.parametrize("how", ["the indexes are dropped", "the collection is dropped"])
def test_indexes_with_the_simple_collation_come_back_in_a_collection_with_another(project, how):
    p = project
    made = collated(p)
    if how == "the collection is dropped":
        destroyed_and_undone(p, {"dropCollection": {"collection": "users"}})
    else:
        destroyed_and_undone(p, *[{"dropIndex": {"collection": "users", "name": name}} for name in made])


def test_indexes_with_the_simple_collation_come_beside_the_original_and_by_an_export(project):
    p = project
    collated(p)
    wanted = {i["name"]: i.get("collation") for i in p.db.users.list_indexes()}
    kept = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    p.mig("restore", kept, "--as", "users=copy", "--yes")
    assert {i["name"]: i.get("collation") for i in p.db.copy.list_indexes()} == wanted
    p.mig("snapshot", "export", kept, "dump")
    imported = p.mig("snapshot", "import", "dump", "--json").lines[0]["snapshot"]
    p.db.users.drop()
    p.mig("restore", imported, "--only", "users", "--yes")
    assert {i["name"]: i.get("collation") for i in p.db.users.list_indexes()} == wanted


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_a_dropped_collection_come_back(project, name):
    p = project
    if refused(p.db.create_collection, "special", **OPTIONS[name]):
        pytest.skip(f"this server takes no {name}")
    if not options_of(p, "special"):
        pytest.skip(f"this server takes {name} and forgets it")
    p.db.special.insert_many([{"_id": (i * 7) % 30, "n": i} for i in range(30)])
    destroyed_and_undone(p, {"dropCollection": {"collection": "special"}})
    if name == "capped":
        assert [d["n"] for d in p.db.special.find()] == list(range(30)), "in the order they were written"


def test_odd_names_of_collections_come_back(project):
    p = project
    made = [n for n in NAMES if not refused(p.db.command, "insert", n, documents=[{"_id": 1, "name": n}])]
    assert len(made) >= 5
    kept = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    before = p.digest()
    for name in made:
        p.db.command("drop", name)
    p.mig("restore", kept, "--yes")
    assert p.digest() == before


def test_view_comes_back_when_a_migration_that_dropped_it_fails(project):
    p = project
    p.db.users.insert_many([{"_id": i, "n": i} for i in range(10)])
    p.db.create_collection("young", viewOn="users", pipeline=[{"$match": {"n": {"$lt": 3}}}])
    if next(c for c in p.db.list_collections() if c["name"] == "young")["type"] != "view":
        pytest.skip("this server has no views")
    destroyed_and_undone(p, {"dropCollection": {"collection": "young"}}, {"removeField": {"collection": "users", "field": "n"}})
    assert [d["_id"] for d in p.db.young.find()] == [0, 1, 2]


def raw_options(p, name):
    """As bytes: 1, 1.0 and NaN are three things."""
    return bson.encode(options_of(p, name))


NOT_QUITE = [(Int64(1), {"$numberDouble": "1.0"}), (float("nan"), {"$numberInt": "5"}), (float("nan"), {"$numberDouble": "5.0"})]


def modify(name, **to):
    return {"command": {"command": {"collMod": name, **to}, "collections": [name]}}


@pytest.mark.parametrize("was, becomes", NOT_QUITE)
def test_a_number_in_a_validator_comes_back_with_its_type(project, was, becomes):
    p = project
    p.db.create_collection("special")  # said in full, as a restore by collMod says it
    p.db.command("collMod", "special", validator={"a": {"$lt": was}}, validationLevel="strict", validationAction="error")
    before = raw_options(p, "special")
    destroyed_and_undone(p, modify("special", validator={"a": {"$lt": becomes}}))
    assert raw_options(p, "special") == before


def levels(p, name):
    """As the server acts: what is not said is strict and error."""
    options = options_of(p, name)
    return options.get("validator") or {}, options.get("validationLevel", "strict"), options.get("validationAction", "error")


@pytest.mark.parametrize("level, action", [("off", "warn"), ("moderate", "error"), (None, None)])
@pytest.mark.parametrize("how", ["set", "off", "dropped"])
def test_level_and_action_without_a_validator_come_back(project, level, action, how):
    """A validator given later without them acts by those that stand there. It was said: byte for byte."""
    p = project
    p.db.special.insert_many([{"_id": i, "n": -i} for i in range(5)])
    if level:
        p.db.command("collMod", "special", validator={}, validationLevel=level, validationAction=action)
    before = levels(p, "special")
    assert before == ({}, level or "strict", action or "error")
    kept = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    now = {"set": modify("special", validator={"n": {"$gte": 0}}, validationLevel="strict", validationAction="error"),
           "off": modify("special", validator={}, validationLevel="off", validationAction="error"),
           "dropped": {"dropCollection": {"collection": "special"}}}[how]
    p.db.witness.insert_one({"_id": 1})
    p.write("0001_destroy", {"transaction": "off", "up": [now, FAILS]})
    p.mig("up", code=3)
    assert levels(p, "special") == before and p.db.special.count_documents({}) == 5
    for strategy in ("delta", "swap"):  # by hand, too
        p.db.command("collMod", "special", validator={}, validationLevel="off", validationAction="error")
        p.mig("snapshot", "diff", kept, "--only", "special", code=6)
        p.mig("restore", kept, "--yes", "--only", "special", "--strategy", strategy)
        assert levels(p, "special") == before
    p.mig("snapshot", "diff", kept, "--only", "special")


@pytest.mark.parametrize("answer", [error(13, "not authorized"), error(59, "no such command"), {"ok": 1.0}])
def test_level_and_action_that_cannot_be_put_back_stop_no_restore_and_are_named(project, answer):
    """They say nothing about documents: readWrite alone restores, and a server that keeps no level does not go on for ever."""
    p = project
    p.db.special.insert_many([{"_id": i} for i in range(5)])
    kept = p.mig("snapshot", "create", "--only", "special", "--json").lines[0]["snapshot"]
    p.mig("doctor")
    p.db.command("collMod", "special", validator={}, validationLevel="off", validationAction="warn")
    p.db.special.delete_one({"_id": 1})
    with WireProxy(p.uri, [Rule("collMod", reply_with(answer), collection="special", times=None)]) as proxy:
        result = p.mig("restore", kept, "--yes", "--strategy", "delta", uri=proxy.uri)
    assert p.db.special.count_documents({}) == 5 and "special: validationLevel and validationAction" in result.err
    assert result.err.count("validationLevel") == 1 and levels(p, "special")[1] == "off"
    p.mig("restore", kept, "--yes")
    assert levels(p, "special") == ({}, "strict", "error")


@pytest.mark.parametrize("was, becomes", NOT_QUITE)
def test_a_number_in_a_view_comes_back_with_its_type(project, was, becomes):
    p = project
    p.db.create_collection("young", viewOn="users", pipeline=[{"$addFields": {"n": {"$literal": was}}}])
    if next(c for c in p.db.list_collections() if c["name"] == "young")["type"] != "view":
        pytest.skip("this server has no views")
    before = raw_options(p, "young")
    kept = p.mig("snapshot", "create", "--only", "young", "--json").lines[0]["snapshot"]
    destroyed_and_undone(p, modify("young", viewOn="users", pipeline=[{"$addFields": {"n": {"$literal": becomes}}}]))
    assert raw_options(p, "young") == before
    p.db.command("collMod", "young", viewOn="users", pipeline=[{"$addFields": {"n": {"$literal": 1.0 if was == 1 else 5}}}])
    p.mig("snapshot", "diff", kept, code=6)


@pytest.fixture
def series(project):
    if refused(project.db.create_collection, "series", timeseries={"timeField": "t"}):
        pytest.skip("this server has no time series")
    if next(c for c in project.db.list_collections() if c["name"] == "series")["type"] != "timeseries":
        pytest.skip("this server takes a time series and makes a plain collection")
    return project


def test_time_series_are_refused_by_name_before_anything_is_written(series):
    p = series
    p.db.users.insert_many([{"_id": i} for i in range(5)])
    before = p.digest("users")
    for step in ({"dropCollection": {"collection": "series"}}, {"delete": {"collection": "series", "filter": {}}}):
        p.write("0001_drop", {"transaction": "off", "up": [{"delete": {"collection": "users", "filter": {}}}, step]})
        three_lines(p.mig("up", code=1), "series", "timeseries")
        assert p.digest("users") == before and "series" in p.db.list_collection_names()
    for step in ({"createIndex": {"collection": "series", "key": {"t": -1}}}, {"command": {"command": {
            "collMod": "series", "index": {"name": "t_1", "hidden": True}}}}):
        p.write("0001_drop", {"up": [{"delete": {"collection": "users", "filter": {}}}, step]})
        three_lines(p.mig("plan", code=1), "series", "timeseries", "could not be undone", "mig mark")
        three_lines(p.mig("up", code=1), "series", "timeseries", "could not be undone", "mig mark")
        assert p.digest("users") == before and p.status("0001_drop") != "running"
    assert "t_-1" not in p.db.series.index_information()
    three_lines(p.mig("snapshot", "create", code=1), ".series", "--only")
    assert not list(p.store.glob("*.mig.tar")) and p.partials() == []


def test_time_series_that_nobody_touches_stand_in_no_ones_way(series):
    p = series
    p.db.users.insert_many([{"_id": i} for i in range(5)])
    p.mig("snapshot", "create", "--only", "users")
    destroyed_and_undone(p, {"delete": {"collection": "users", "filter": {}}})


@pytest.mark.parametrize("strategy", ["delta", pytest.param("swap", marks=pytest.mark.long)])
def test_document_of_16_mib_comes_back(project, strategy):
    p = project
    for size in (16 << 20, (16 << 20) - 4096, 15 << 20):  # some servers take a little less
        document = {"_id": 1, "pad": "x" * (size - 24)}
        if not refused(p.db.command, "insert", "large", documents=[document]):
            break
    assert p.db.large.count_documents({}) == 1
    p.db.large.insert_many([{"_id": 0}, {"_id": 2}])
    kept = p.mig("snapshot", "create", "--json").lines[0]["snapshot"]
    before = p.digest()
    p.db.large.update_one({"_id": 1}, {"$set": {"pad": 1}})
    p.mig("restore", kept, "--yes", "--strategy", strategy)
    same = p.digest() == before
    assert same, size
    p.db.large.delete_one({"_id": 1})
    p.mig("restore", kept, "--yes", "--strategy", strategy)
    same = p.digest() == before
    assert same, size
