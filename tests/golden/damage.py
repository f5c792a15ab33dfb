#!/usr/bin/env python3
"""Makes tests/golden/damaged/ from tests/golden/good/ and from nothing else. Each file is refused by open or verify.

Forged archives have all their hashes right (as an attacker would): only the rule in their name is broken.
"""
import base64, hashlib, json, os, re, struct, subprocess, sys

import read_snapshot

HERE = os.path.dirname(os.path.abspath(__file__))
GOOD = open(f"{HERE}/good/format1-small-chunks.mig.tar", "rb").read()
ONE_CHUNK = open(f"{HERE}/good/format1-one-chunk.mig.tar", "rb").read()


def members(data):
    """[(name, header, content)] of an archive with short names."""
    out, at = [], 0
    while data[at]:
        header = data[at:at + 512]
        size = int(header[124:135], 8)
        out.append((header[:100].rstrip(b"\0").decode(), header, data[at + 512:at + 512 + size]))
        at += 512 + (size + 511) // 512 * 512
    return out


def header_of(like, name, size, typeflag=b"0", mode=None, link=b""):
    h = bytearray(like)
    h[0:100] = name.encode().ljust(100, b"\0")
    h[124:136] = b"%011o " % size
    h[156:157] = typeflag
    h[157:257] = link.ljust(100, b"\0")
    if mode is not None:
        h[100:108] = b"%06o \0" % mode
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def join(parts):
    out = b""
    for _, header, content in parts:
        out += header + content + b"\0" * (-len(content) % 512)
    return out + b"\0" * 1024


def reseal(parts, raw=None, name=None, hmac=None):
    """Brings offsets, sizes, hashes and the digest up to what the members are now. raw: what chunk `name` unpacks to;
    hmac: of an encrypted archive's manifest up to there, for who has its key."""
    text = parts[-1][2].decode()
    at = 0
    for member, header, content in parts[:-1]:
        at += 512
        digest = hashlib.sha256(content).hexdigest()
        key = re.escape(json.dumps(member))
        text = re.sub(r'("member":%s,"offset":)\d+(,"(?:storedBytes|bytes)":)\d+' % key,
                      lambda m: f"{m[1]}{at}{m[2]}{len(content)}", text)
        text = re.sub(r'("member":%s,[^}]*?"sha256":")[0-9a-f]{64}' % key, lambda m: m[1] + digest, text)
        at += (len(content) + 511) // 512 * 512
    if raw is not None:
        text = re.sub(r'("member":%s,[^}]*?"rawSha256":")[0-9a-f]{64}' % re.escape(json.dumps(name)),
                      lambda m: m[1] + hashlib.sha256(raw).hexdigest(), text)
        folder = os.path.dirname(name)
        whole = b"".join(raw if m == name else unzstd(c) for m, _, c in parts
                         if m.startswith(folder + "/") and m.endswith(".zst"))
        text = re.sub(r'("collection":"%s",[^\n]*?"sha256":")[0-9a-f]{64}' % re.escape(folder.split("/")[1]),
                      lambda m: m[1] + hashlib.sha256(whole).hexdigest(), text)
    try:
        digest = read_snapshot.digest(json.loads(text))
        text = re.sub(r'("digest":")[0-9a-f]{64}', lambda m: m[1] + digest, text)
    except (read_snapshot.Bad, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    if hmac:
        body = text[:text.rindex('"manifestHmac":')]
        text = re.sub(r'("manifestHmac":")[0-9a-f]{64}', lambda m: m[1] + hmac(body.encode()), text)
    head = text[:text.index('"manifestSha256"')]
    own = hashlib.sha256(head.encode()).hexdigest()
    zeroed = f'{head}"manifestSha256":"{own}",\n"archiveSha256":"{"0" * 64}"}}\n'
    header = header_of(parts[-1][1], "manifest.json", len(zeroed.encode()))
    whole = join(parts[:-1] + [("manifest.json", header, zeroed.encode())])
    sealed = zeroed.replace("0" * 64, hashlib.sha256(whole).hexdigest())
    return join(parts[:-1] + [("manifest.json", header, sealed.encode())])


def replace(parts, index, content, **how):
    name, header, _ = parts[index]
    new = list(parts)
    new[index] = (how.pop("name", name), header_of(header, how.pop("header_name", name), len(content), **how), content)
    return new


def manifest_text(parts, old, new, count=1):
    text = parts[-1][2].decode()
    assert old in text, old
    return replace(parts, -1, text.replace(old, new, count).encode())


def with_info(parts, collection, change):
    """What is recorded of a collection rewritten, in the manifest and in its metadata.json. change: (name, element) -> element."""
    entry = next(c for c in json.loads(parts[-1][2])["collections"] if c["collection"] == collection)
    old, at = entry["infoBson"], next(i for i, m in enumerate(parts) if m[0] == entry["metadata"]["member"])
    info = read_snapshot.pack([change(n, whole) for _, n, whole, _ in read_snapshot.elements(base64.b64decode(old))])
    new = base64.b64encode(info).decode()
    return manifest_text(replace(parts, at, parts[at][2].replace(old.encode(), new.encode())), old, new)


def with_field(whole, field):
    """An element that is a document, with one field more."""
    start = whole.index(b"\0") + 1
    return whole[:start] + read_snapshot.pack([whole[start + 4:-1], field])


def with_other_digest(parts):
    """The digest wrong, both sums right."""
    before, read_snapshot.digest = read_snapshot.digest, lambda manifest: "0123456789abcdef" * 4
    try:
        return reseal(parts)
    finally:
        read_snapshot.digest = before


def zstd(raw, *options):
    return subprocess.run(["zstd", "-q", "-c", *options], input=raw, stdout=subprocess.PIPE, check=True).stdout


def unzstd(stored):
    return subprocess.run(["zstd", "-q", "-d", "-c"], input=stored, stdout=subprocess.PIPE, check=True).stdout


def pax(records, typeflag=b"x", like=None):
    """A pax header member: (name, header, content)."""
    lines = b""
    for key, value in records:
        rest = b" %s=%s\n" % (key, value)
        size = len(rest) + 1
        while len(b"%d" % size) + len(rest) != size:
            size += 1
        lines += b"%d" % size + rest
    return ("PaxHeader", header_of(like, "PaxHeader", len(lines), typeflag=typeflag), lines)


def raw_size(parts, index, field):
    """The size field of a member's header as these 12 bytes."""
    name, header, content = parts[index]
    h = bytearray(header)
    h[124:136] = field
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return parts[:index] + [(name, bytes(h), content)] + parts[index + 1:]


def unsized(parts):
    """Sealed as it stands: for headers whose size is a lie, so that only the file's own sum is brought up to date."""
    text = parts[-1][2].decode()
    zeroed = re.sub(r'("archiveSha256":")[0-9a-f]{64}', lambda m: m[1] + "0" * 64, text).encode()
    whole = join(parts[:-1] + [(parts[-1][0], parts[-1][1], zeroed)])
    sealed = zeroed.replace(b"0" * 64, hashlib.sha256(whole).hexdigest().encode())
    return join(parts[:-1] + [(parts[-1][0], parts[-1][1], sealed)])


def nested(depth):
    """{_id: <as before>} with documents in documents."""
    inner = b"\x05\0\0\0\0"
    for _ in range(depth):
        inner = (len(inner) + 8).to_bytes(4, "little") + b"\x03a\0" + inner + b"\0"
    return inner


def forged_headers(p, chunk):
    """Absolute and climbing names, sparse entries, kinds and sizes that no member has; every sum is right."""
    bad = {}
    bad["forged-absolute-path"] = reseal(replace(p, chunk, p[chunk][2], header_name="/etc/cron.d/x"))
    bad["forged-path-backwards"] = reseal(replace(p, chunk, p[chunk][2], header_name="app/x/../../../x"))
    for kind, flag in {"sparse": b"S", "contiguous": b"7", "device": b"3", "long-name": b"L", "old-regular": b"\0"}.items():
        bad[f"forged-{kind}"] = reseal(replace(p, chunk, p[chunk][2], typeflag=flag))
    for kind, records in {"pax-path": [(b"path", b"../../../etc/cron.d/x")], "pax-absolute": [(b"path", b"/etc/cron.d/x")],
                          "pax-link": [(b"linkpath", b"/etc/passwd")], "pax-size": [(b"size", b"4611686018427387904")],
                          "pax-sparse": [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                                         (b"GNU.sparse.name", b"x"), (b"GNU.sparse.realsize", b"1099511627776")],
                          "pax-xattr": [(b"SCHILY.xattr.user.x", b"1")]}.items():
        bad[f"forged-{kind}"] = reseal(p[:chunk] + [pax(records, like=p[chunk][1])] + p[chunk:])
    bad["forged-pax-global"] = reseal([pax([(b"path", b"x")], b"g", p[0][1])] + p)
    bad["forged-same-name-twice"] = reseal(replace(p, chunk, p[chunk][2], header_name=p[chunk - 1][0]))
    for kind, field in {"size-octal": b"77777777777 ", "size-base-256": b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7,
                        "size-negative": b"\xff" * 12, "size-text": b"many bytes\0 ", "size-empty": b"\0" * 12}.items():
        bad[f"forged-{kind}"] = unsized(raw_size(p, chunk, field))
    return bad


def forged_content(p, chunk, raw):
    """Counts that lie, depth, and chunks that belong elsewhere; every sum is right."""
    bad = {}
    for kind, old, new in [("documents-absurd", '"documents":11,', '"documents":9223372036854775807,'),
                           ("documents-negative", '"documents":11,', '"documents":-11,'),
                           ("documents-double", '"documents":11,', '"documents":11.0,'),
                           ("raw-bytes-absurd", '"rawBytes":639,', '"rawBytes":9223372036854775807,'),
                           ("raw-bytes-less", '"rawBytes":639,', '"rawBytes":5,'),
                           ("year-10000", '"createdUnixMs":1795245300000', '"createdUnixMs":253402300800000'),
                           ("holds-less", '{"collection":"gone","holds":"absent"}', '{"collection":"gone","holds":"documents"}'),
                           ("collection-twice", '{"collection":"gone","holds":"absent"}', '{"collection":"empty","holds":"absent"}'),
                           ("database-climbs", '"database":"app"', '"database":".."'),
                           ("id-climbs", '"id":"format1-small-chunks"', '"id":"../format1-small"')]:
        bad[f"forged-{kind}"] = reseal(manifest_text(p, old, new))
    many = "every%20type"  # holds documents
    view = with_info(p, many, lambda name, whole: b"\x02type\0\x05\0\0\0view\0" if name == b"type" else whole)
    entry = next(line for line in p[-1][2].decode().split("\n") if line.startswith('{"collection":"%s",' % many))
    bad["forged-view-with-documents"] = reseal(manifest_text(view, entry.split('"infoBson"')[0], entry.split('"infoBson"')[0].replace(
        '"type":"collection"', '"type":"view"')))
    for field, value in {"$db": "admin", "lsid": "x"}.items():
        text = b"\x02" + field.encode() + b"\0" + struct.pack("<i", len(value) + 1) + value.encode() + b"\0"
        bad[f"forged-option-{field.strip('$')}"] = reseal(with_info(p, many, lambda name, whole: with_field(
            whole, text) if name == b"options" else whole))
    bad["forged-manifest-deep"] = reseal(manifest_text(p, '"features":[]', '"features":' + "[" * 5000 + "]" * 5000))
    deep = nested(300)
    deep = (len(deep) + 9).to_bytes(4, "little") + b"\x0a_id\0" + deep[4:]
    deep = len(deep).to_bytes(4, "little") + deep[4:]
    bad["forged-document-deep"] = reseal(replace(p, chunk, zstd(deep, "--check", f"--stream-size={len(deep)}")), deep, p[chunk][0])
    other = next(c for name, _, c in members(ONE_CHUNK) if name.endswith("every%20type/000000.bson.zst"))
    bad["chunk-of-another-snapshot"] = join(replace(p, chunk, other))
    bad["forged-chunk-of-another-snapshot"] = reseal(replace(p, chunk, other), unzstd(other), p[chunk][0])
    bad["forged-chunks-exchanged"] = reseal(replace(replace(p, chunk, p[chunk - 1][2]), chunk - 1, p[chunk][2]))
    return bad


def main():
    p = members(GOOD)
    assert join(p) == GOOD and reseal(p) == GOOD
    chunk = next(i for i, m in enumerate(p) if m[0].endswith("/000001.bson.zst"))
    raw = unzstd(p[chunk][2])
    bad = {}
    bad["truncated-half"] = GOOD[:len(GOOD) // 2]
    bad["truncated-last-block"] = GOOD[:-512]
    bad["truncated-last-byte"] = GOOD[:-1]
    bad["trailing-zeros"] = GOOD + b"\0" * 512
    bad["trailing-garbage"] = GOOD + b"x" * 512
    bad["two-archives"] = GOOD + GOOD
    bad["empty"] = b""
    bad["only-end"] = b"\0" * 1024
    bad["gzip"] = subprocess.run(["gzip", "-9nc"], input=GOOD, stdout=subprocess.PIPE, check=True).stdout
    flipped = bytearray(GOOD)
    flipped[GOOD.index(p[chunk][2]) + 20] ^= 1
    bad["chunk-bit-flipped"] = bytes(flipped)
    padding = bytearray(GOOD)
    padding[GOOD.index(p[0][2]) + len(p[0][2])] = 1
    bad["padding-not-zero"] = bytes(padding)
    bad["chunk-missing"] = join(p[:chunk] + p[chunk + 1:])
    bad["chunks-swapped"] = join(p[:chunk - 1] + [p[chunk], p[chunk - 1]] + p[chunk + 1:])
    bad["manifest-first"] = join([p[-1]] + p[:-1])
    bad["manifest-twice"] = join(p + [p[-1]])
    bad["manifest-missing"] = join(p[:-1])
    bad["header-missing"] = join(p[1:])
    bad["manifest-digits-changed"] = join(manifest_text(p, '"archiveSha256":"', '"archiveSha256":"0', 1))
    # from here on: forged, with every hash right
    bad["forged-mode-0644"] = reseal(replace(p, chunk, p[chunk][2], mode=0o644))
    bad["forged-symlink"] = reseal(replace(p, chunk, b"", typeflag=b"2", link=b"/etc/passwd"))
    bad["forged-hardlink"] = reseal(replace(p, chunk, b"", typeflag=b"1", link=b"app/empty/metadata.json"))
    bad["forged-folder"] = reseal(replace(p, chunk, b"", typeflag=b"5"))
    bad["forged-fifo"] = reseal(replace(p, chunk, b"", typeflag=b"6"))
    bad["forged-path"] = reseal(replace(p, chunk, p[chunk][2], header_name="../../etc/cron.d/x"))
    extra = ("app/extra", header_of(p[chunk][1], "app/extra", 3), b"abc")
    bad["forged-extra-member"] = reseal(p[:-1] + [extra, p[-1]])
    two = zstd(raw, "--check", f"--stream-size={len(raw)}")
    bad["forged-two-frames"] = reseal(replace(p, chunk, two + two))
    bad["forged-skippable-frame"] = reseal(replace(p, chunk, b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + p[chunk][2]))
    bad["forged-no-frame-checksum"] = reseal(replace(p, chunk, zstd(raw, "--no-check", f"--stream-size={len(raw)}")))
    bad["forged-no-content-size"] = reseal(replace(p, chunk, zstd(raw, "--check")))
    bomb = b"\0" * (2 << 20)
    bad["forged-bomb-that-fits"] = reseal(replace(p, chunk, zstd(bomb, "--check", f"--stream-size={len(bomb)}")))
    bomb = b"\0" * (200 << 20)
    bad["forged-bomb"] = reseal(replace(p, chunk, zstd(bomb, "--check", f"--stream-size={len(bomb)}")))
    cut = bytearray(raw)
    cut[0:4] = (len(raw) + 100).to_bytes(4, "little")
    inner = bytearray(raw)
    inner[4] = 0x42  # no BSON type
    early = bytearray(raw)
    early[4] = 0  # the document ends before its length does
    short = raw[:-1] + b"\x01"
    for kind, content in {"document-too-long": cut, "document-type": inner, "document-ends-early": early,
                          "document-not-ended": short, "not-bson": b"\xff" * len(raw)}.items():
        stored = zstd(bytes(content), "--check", f"--stream-size={len(raw)}")
        bad[f"forged-{kind}"] = reseal(replace(p, chunk, stored), bytes(content), p[chunk][0])
    other = raw.replace(b"uvwx", b"UVWX") if b"uvwx" in raw else raw.replace(b"quotes", b"QUOTES")
    assert other != raw
    stored = zstd(other, "--check", f"--stream-size={len(raw)}")
    bad["forged-raw-hash-left"] = reseal(replace(p, chunk, stored))
    bad["forged-newer-format"] = reseal(manifest_text(p, '{"format":1,', '{"format":2,'))
    bad["forged-feature"] = reseal(manifest_text(p, '"features":[]', '"features":["encryption"]'))
    bad["forged-unknown-field"] = reseal(manifest_text(p, '"features":[]', '"features":[],"more":1'))
    bad["forged-field-twice"] = reseal(manifest_text(p, '"wholeDatabase":false', '"wholeDatabase":false,"wholeDatabase":true'))
    bad["forged-space"] = reseal(manifest_text(p, '"features":[]', '"features": []'))
    bad["forged-fewer-documents"] = reseal(manifest_text(p, '"documents":2,', '"documents":1,'))
    bad["forged-other-reason"] = reseal(manifest_text(p, '"reason":"before up of 0001_x"', '"reason":"manual"'))
    bad["forged-name-not-canonical"] = reseal(manifest_text(p, '"collection":"empty"', '"collection":"%65mpty"'))
    bad["forged-type"] = reseal(manifest_text(p, '"type":"view"', '"type":"vieW"'))
    bad["forged-order"] = reseal(manifest_text(p, '"order":"natural"', '"order":"_id"'))
    bad["forged-last-id"] = reseal(manifest_text(p, '"lastBson":"EgAAABJfaWQAAPIFKgEAAAAA","lastJson":{"$numberLong":"5000000000"}',
                                                 '"lastBson":"EgAAABJfaWQAAPIFKgIAAAAA","lastJson":{"$numberLong":"9294967296"}'))
    bad["forged-digest"] = with_other_digest(p)
    bad.update(forged_headers(p, chunk))
    bad.update(forged_content(p, chunk, raw))
    os.makedirs(f"{HERE}/damaged", exist_ok=True)
    for name, data in bad.items():
        if data == GOOD:
            sys.exit(f"{name} is not damaged")
        with open(f"{HERE}/damaged/{name}.mig.tar", "wb") as f:
            f.write(data)


if __name__ == "__main__":
    main()
