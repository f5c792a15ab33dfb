"""The data that scripts/bench measures with: documents that look like somebody's, made from a fixed seed.

    load(client[db], "small", 100 << 20)  -->  documents, bytes

small:  users of some 300 bytes               nested: orders of some 3 KiB, lists of documents in documents
binary: files of 64 to 1024 KiB, half of them such as no compressor makes smaller (images), half text (logs)
"""
import datetime
import random

import bson
import pymongo

BATCH_BYTES = 8 << 20
WORDS = ("time person year way day thing man world life hand part child eye woman place work week case point company "
         "number group problem fact order status shipped pending north south street market account payment card").split()
SHAPES = ("small", "nested", "binary")
EPOCH = datetime.datetime(2024, 1, 1)


def text(r, words):
    return " ".join(r.choices(WORDS, k=words))


def when(r):
    return EPOCH + datetime.timedelta(milliseconds=r.randrange(10 ** 11))


def small(r, i):
    name = f"{r.choice(WORDS)}.{r.choice(WORDS)}{r.randrange(10 ** 6)}"
    return {"_id": bson.ObjectId(), "name": name, "email": f"{name}@example.org", "age": r.randrange(99),
            "score": r.random(), "active": r.random() < 0.7, "createdAt": when(r), "group": r.randrange(500),
            "key": f"k{i:09d}", "tags": r.choices(WORDS, k=4), "about": text(r, 10)}


def nested(r, i):
    lines = [{"sku": f"S-{r.randrange(10 ** 5):05d}", "title": text(r, 4), "quantity": r.randrange(1, 9),
              "price": bson.Int64(r.randrange(10 ** 6)), "options": {"colour": r.choice(WORDS), "size": r.randrange(50),
                                                                   "notes": [text(r, 3), text(r, 2)]}}
             for _ in range(r.randrange(6, 16))]
    address = {"street": text(r, 2), "number": r.randrange(300), "city": r.choice(WORDS),
               "at": {"type": "Point", "coordinates": [r.uniform(-180, 180), r.uniform(-90, 90)]}}
    return {"_id": bson.ObjectId(), "key": f"k{i:09d}", "customer": bson.ObjectId(), "placedAt": when(r), "lines": lines,
            "addresses": {"billing": address, "shipping": address},
            "events": [{"at": when(r), "state": r.choice(WORDS), "by": bson.ObjectId()} for _ in range(5)]}


def binary(r, i):
    size = r.randrange(64 << 10, 1 << 20)
    if i % 2:
        content = r.randbytes(size)
    else:
        line = ("\n".join(f"{when(r).isoformat()} {r.choice(WORDS)}[{r.randrange(9999)}]: {text(r, 9)}"
                          for _ in range(400)) + "\n").encode()
        content = (line * (size // len(line) + 1))[:size]
    return {"_id": bson.ObjectId(), "key": f"k{i:09d}", "name": f"file-{i}", "uploadedAt": when(r), "data": content}


def load(db, shape, wanted):
    """About `wanted` bytes of BSON into the collection named after the shape, with one index more than _id."""
    r, make = random.Random(4711), globals()[shape]
    db.client.drop_database(db.name)
    c = db.get_collection(shape, codec_options=bson.codec_options.CodecOptions(
        document_class=bson.raw_bson.RawBSONDocument), write_concern=pymongo.WriteConcern(w=1))
    batch, waiting, total, i = [], 0, 0, 0
    while total < wanted:
        doc = bson.encode(make(r, i))
        batch.append(bson.raw_bson.RawBSONDocument(doc))
        waiting, total, i = waiting + len(doc), total + len(doc), i + 1
        if waiting >= BATCH_BYTES or len(batch) == 5000 or total >= wanted:
            c.insert_many(batch, ordered=False)
            batch, waiting = [], 0
    db[shape].create_index("key")
    return i, total


def damage(db, shape, every):
    """Changes, removes and adds documents: one of `every` is not as it was."""
    ids = [d["_id"] for n, d in enumerate(db[shape].find({}, {"_id": 1}).sort("_id", 1)) if n % every == 0]
    writes = []
    for n, _id in enumerate(ids):
        if n % 3 == 0:
            writes.append(pymongo.UpdateOne({"_id": _id}, {"$set": {"damaged": n}}))
        elif n % 3 == 1:
            writes.append(pymongo.DeleteOne({"_id": _id}))
        else:
            writes.append(pymongo.InsertOne({"_id": bson.ObjectId(), "key": f"x{n}"}))
    if writes:
        db[shape].bulk_write(writes, ordered=False)
    return len(writes)
