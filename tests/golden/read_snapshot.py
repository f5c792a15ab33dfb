#!/usr/bin/env python3
"""A second reader of snapshot format 1, after docs/snapshot-format.md and without a line of mig: it keeps that page honest.

usage: read_snapshot.py [--key-file FILE | --passphrase-file FILE] [--signer PEM] [--extract FOLDER] FILE...
       verifies each file (--signer: and FILE.sig, by this public key); prints a line a file, exit 1 if one is refused; --extract also writes the documents of each
       collection, decrypted and unpacked, to FOLDER/<db>.<collection>.bson (names as they are encoded)

Needs Python 3.8 and the zstd program; for encrypted and signed archives also the package "cryptography". It is for tests: it reads whole files into memory.
"""
import base64, hashlib, hmac, json, re, struct, subprocess, sys, tarfile, urllib.parse

DOCUMENT_MAX = (16 << 20) + (16 << 10)
CHUNK_MAX = 16 << 20


class Bad(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Bad(why)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def elements(doc):
    """(type, name, whole element, value) of each element of a BSON document."""
    need(len(doc) >= 5 and struct.unpack("<i", doc[:4])[0] == len(doc) and doc[-1] == 0, "not BSON")
    at = 4
    while at < len(doc) - 1:
        kind, end = doc[at], doc.index(b"\0", at + 1)
        value, size = end + 1, None
        number = struct.unpack("<i", doc[value:value + 4].ljust(4, b"\0"))[0]
        if kind in (0x01, 0x09, 0x11, 0x12): size = 8
        elif kind in (0x02, 0x0D, 0x0E): size = 4 + number
        elif kind in (0x03, 0x04, 0x0F): size = number
        elif kind == 0x05: size = 5 + number
        elif kind in (0x06, 0x0A, 0x7F, 0xFF): size = 0
        elif kind == 0x07: size = 12
        elif kind == 0x08: size = 1
        elif kind == 0x0B: size = doc.index(b"\0", doc.index(b"\0", value) + 1) + 1 - value
        elif kind == 0x0C: size = 4 + number + 12
        elif kind == 0x10: size = 4
        elif kind == 0x13: size = 16
        need(size is not None and size >= 0 and value + size < len(doc), "not BSON")
        yield kind, doc[at + 1:end], doc[at:value + size], doc[value:value + size]
        at = value + size


def pack(parts):
    body = b"".join(parts)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def id_of(doc):
    return pack([whole for _, name, whole, _ in elements(doc) if name == b"_id"][:1])


def documents(raw):
    at = 0
    while at < len(raw):
        need(len(raw) - at >= 5, "a document is cut off")
        size = struct.unpack("<i", raw[at:at + 4])[0]
        need(5 <= size <= min(len(raw) - at, DOCUMENT_MAX), "a document's length does not fit")
        doc = raw[at:at + size]
        list(elements(doc))
        yield doc
        at += size


def unzstd(stored):
    run = subprocess.run(["zstd", "-q", "-d", "-c", "--memory=64MB"], input=stored, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    need(run.returncode == 0, "zstd refuses it")
    return run.stdout


def hkdf(secret, salt, info, size):
    """RFC 5869, SHA-256."""
    extracted = hmac.new(salt or bytes(32), secret, "sha256").digest()
    out = block = b""
    for n in range(1, size // 32 + 2):
        block = hmac.new(extracted, block + info + bytes([n]), "sha256").digest()
        out += block
    return out[:size]


class Secret:
    """A key file's bytes, or a passphrase's."""

    def __init__(self, key=None, passphrase=None):
        self.key, self.passphrase = key, passphrase

    def keys(self, e):
        """(key of the chunks, key of the manifest)"""
        salt = bytes.fromhex(e["salt"])
        if e["kdf"] == "scrypt":
            need(self.passphrase is not None, "needs a passphrase")
            master = hashlib.scrypt(self.passphrase, salt=salt, n=e["n"], r=e["r"], p=e["p"], maxmem=300 << 20, dklen=32)
        else:
            need(e["kdf"] == "HKDF-SHA256" and self.key is not None, "needs a key file")
            master = hkdf(self.key, salt, b"mig master 1", 32)
        need(hmac.compare_digest(hkdf(master, b"", b"mig check 1", 16).hex(), e["check"]), "wrong key")
        return hkdf(master, b"", b"mig chunks 1", 32), hkdf(master, b"", b"mig manifest 1", 32)


def unseal(key, archive_id, member, stored):
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    try:
        return AESGCM(key).decrypt(stored[:12], stored[12:], f"mig chunk 1\n{archive_id}\n{member}\n".encode())
    except InvalidTag:
        raise Bad("an encrypted chunk was altered, or is not of this place")


def signed_by(signer, signature, manifest):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        load_pem_public_key(signer).verify(signature, manifest)
    except InvalidSignature:
        raise Bad("the signature is not of this signer, or the manifest was altered")


def digest(manifest):
    lines = []
    for c in manifest["collections"]:
        info = indexes = "-"
        if c["holds"] != "absent":
            parts = []
            for _, name, whole, value in elements(base64.b64decode(c["infoBson"])):
                if name == b"info":
                    inner = [w for _, n, w, _ in elements(value) if n != b"uuid"]
                    whole = whole[:len(whole) - len(value)] + pack(inner)
                parts.append(whole)
            info = sha(pack(parts))
            specs = [value for _, _, _, value in elements(base64.b64decode(c["indexesBson"]))]
            named = lambda spec: next(v[4:-1] for _, n, _, v in elements(spec) if n == b"name")
            indexes = sha(b"".join(sorted(specs, key=lambda s: (named(s), len(s), s))))
        lines.append((urllib.parse.unquote_to_bytes(c["collection"]),
                      f'{c["collection"]} {c["holds"]} {c.get("documents", 0)} {c.get("rawBytes", 0)} '
                      f'{c.get("sha256") or "-"} {info} {indexes}\n'))
    return sha(("mig-digest 1\n" + "".join(line for _, line in sorted(lines))).encode())


def steers(spec):
    return any(name[:1] == b"$" or name in (b"lsid", b"txnNumber", b"startTransaction", b"autocommit", b"stmtId", b"stmtIds", b"readConcern")
               for _, name, _, _ in elements(spec))


def members(path, data):
    """[(name, offset, size)]; by Python's own tar reader, strictly."""
    out, end = [], 0
    with tarfile.open(path, "r:", ignore_zeros=False) as tar:
        for m in tar:
            need(m.type == b"0" and m.mode == 0o600 and not m.linkname and not m.sparse, "a member is no plain file")
            need(m.offset == end, "a gap between members")
            out.append((m.name, m.offset_data, m.size))
            end = m.offset_data + (m.size + 511) // 512 * 512
    need(data[end:] == b"\0" * 1024, "it does not end with two zero blocks")
    return out


def check_chunk(k, stored, encrypted):
    need(stored[:4] == b"\x28\xB5\x2F\xFD" and stored[4] & 4, "not a zstd frame with a checksum")
    raw = unzstd(stored)
    need(len(raw) == k["rawBytes"] and sha(raw) == k["rawSha256"], "raw size or hash")
    docs = list(documents(raw))
    need(len(docs) == k["documents"] and (len(raw) <= CHUNK_MAX or len(docs) == 1), "number of documents")
    ends = [pack([]), pack([])] if encrypted else [id_of(docs[0]), id_of(docs[-1])]
    need([base64.b64decode(k["firstBson"]), base64.b64decode(k["lastBson"])] == ends, "first or last _id")
    return raw


def verify(path, secret=Secret(), extract=None, signer=None):
    data = open(path, "rb").read()
    try:
        found = members(path, data)
    except (tarfile.TarError, EOFError) as e:
        raise Bad(f"tar: {e}")
    need(found and found[-1][0] == "manifest.json", "manifest.json is not the last member")
    _, offset, size = found[-1]
    text = data[offset:offset + size]
    tail = re.search(rb'\n"manifestSha256":"([0-9a-f]{64})",\n"archiveSha256":"([0-9a-f]{64})"}\n\Z', text)
    need(tail and sha(text[:tail.start() + 1]) == tail[1].decode(), "manifestSha256")
    digits = offset + tail.start(2)
    need(sha(data[:digits] + b"0" * 64 + data[digits + 64:]) == tail[2].decode(), "archiveSha256")
    if signer:
        signed_by(signer, open(f"{path}.sig", "rb").read(), text)
    m = json.loads(text)
    need(m["format"] == 1 and m["features"] in ([], ["encryption"]), "format")
    encrypted = m["features"] == ["encryption"]
    need(encrypted == ("encryption" in m) and (not encrypted or m["encryption"]["cipher"] == "AES-256-GCM"), "encryption")
    key = None
    if encrypted:
        key, manifest_key = secret.keys(m["encryption"])
        body = text[:text.rindex(b'"manifestHmac":')]
        need(hmac.compare_digest(hmac.new(manifest_key, body, "sha256").hexdigest(), m["manifestHmac"]), "manifest.json was altered")
    need(m["digest"] == digest(m), "digest")
    prefix = urllib.parse.quote(m["database"], safe="%")
    listed = [(m["header"]["member"], m["header"])]
    for c in m["collections"]:
        if c["holds"] == "absent":
            continue
        need(c["type"] != "view" or c["documents"] == 0, "a view with documents")
        specs = [value for _, name, _, value in elements(base64.b64decode(c["infoBson"])) if name == b"options"]
        specs += [value for _, _, _, value in elements(base64.b64decode(c["indexesBson"]))]
        need(not any(map(steers, specs)), "an option or index steers a command")
        place = f'{prefix}/{c["collection"]}/'
        whole = hashlib.sha256()
        for n, k in enumerate(c["chunks"]):
            need(k["member"] == f"{place}{n:06d}.bson.zst" + (".aes" if encrypted else ""), "a chunk's name")
            stored = data[k["offset"]:k["offset"] + k["storedBytes"]]
            need(sha(stored) == k["sha256"], "a chunk's hash")
            frame = unseal(key, m["id"], k["member"], stored) if encrypted else stored
            raw = check_chunk(k, frame, encrypted)
            whole.update(raw)
            if extract:
                open(f'{extract}/{m["database"]}.{c["collection"]}.bson', "ab" if n else "wb").write(raw)
            listed.append((k["member"], {"offset": k["offset"], "bytes": k["storedBytes"], "sha256": k["sha256"]}))
        need(c["holds"] != "documents" or whole.hexdigest() == c["sha256"], "a collection's hash")
        need(sum(k["documents"] for k in c["chunks"]) == c["documents"], "a collection's documents")
        listed.append((c["metadata"]["member"], c["metadata"]))
        meta = data[c["metadata"]["offset"]:][:c["metadata"]["bytes"]]
        need(meta.endswith(f',\n"infoBson":"{c["infoBson"]}",\n"indexesBson":"{c["indexesBson"]}"}}\n'.encode()),
             "metadata.json is another")
    need([(n, o["offset"], o["bytes"]) for n, o in listed] == found[:-1], "the members are not the manifest's")
    for name, o in listed:
        need(sha(data[o["offset"]:o["offset"] + o["bytes"]]) == o["sha256"], f"{name}: hash")
    header = json.loads(data[found[0][1]:found[0][1] + found[0][2]])
    need(found[0][0] == "mig-snapshot.json" and all(m[k] == v for k, v in header.items()), "the header is another")
    need(m["documents"] == sum(c.get("documents", 0) for c in m["collections"]), "documents in all")
    return m


def main():
    worst, args, secret, extract, signer = 0, sys.argv[1:], Secret(), None, None
    while args and args[0].startswith("--"):
        option, value, args = args[0], args[1], args[2:]
        if option == "--key-file": secret = Secret(key=open(value, "rb").read())
        elif option == "--passphrase-file": secret = Secret(passphrase=open(value, "rb").read().split(b"\n")[0])
        elif option == "--extract": extract = value
        elif option == "--signer": signer = open(value, "rb").read()
        else: sys.exit(f"unknown option {option}")
    for path in args:
        try:
            m = verify(path, secret, extract, signer)
            print(f'{path}: good, {m["documents"]} documents, digest {m["digest"]}')
        except (Bad, OSError, KeyError, TypeError, ValueError) as e:
            print(f"{path}: refused: {type(e).__name__}: {e}")
            worst = 1
    sys.exit(worst)


if __name__ == "__main__":
    main()
