"""How sound inputs are spoilt: bytes, text, trees of plain values, arrays, and the members of archives.

Each takes a `random.Random`, so that the number of an input makes it again.
"""

import io
import json
import math
import struct
import zipfile
import zlib

import numpy as np

NUMBERS = [0, -1, 1, 2, 0.5, -0.0, 1e-320, 1e308, -1e308, math.inf, math.nan, 2**31, 2**63 - 1, -(2**63), 10**25]
WORDS = ["", " ", "\0", "\u202e", "\ufeff", "é", "e\u0301", "😀", "a" * 5000, "../..", "/", "=1+1",
         "true", "nan", "id", "test", "none", "pretrained", "fused", "*", "[", "%s%n", "{}", "a.b.c",
         "a:b", "\x1b[31m"]  # fmt: skip
TOKENS = [b"[", b"]", b"{", b"}", b'"', b"'", b"=", b",", b"\n", b"\r", b"\0", b"\xff", b"#", b".", b"\\", b"nan",
          b"1e999", b"-", b"9" * 400, b"[" * 1000, b"{a=" * 300, b"true", b'"""', b"\xef\xbb\xbf"]  # fmt: skip


# ── bytes and text ────────────────────────────────────────────────────────────────────────────────────────────────────


def spoilt_bytes(rng, content):
    """One to three changes of bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(_BYTES)(rng, bytes(content))
    return content


def _flip(rng, content):
    if not content:
        return content
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]


def _span(rng, content, most=64):
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.randrange(1, most))


def _cut(rng, content):
    start, end = _span(rng, content)
    return content[:start] + content[end:]


def _end(rng, content):
    return content[: rng.randrange(len(content) + 1)]


def _twice(rng, content):
    start, end = _span(rng, content, 400)
    return content[:end] + content[start:]


def _zeros(rng, content):
    start, end = _span(rng, content)
    return content[:start] + bytes(end - start) + content[end:]


def _noise(rng, content):
    start, end = _span(rng, content, 16)
    return content[:start] + rng.randbytes(end - start) + content[end:]


def _number(rng, content):
    """A whole number of four bytes that is too large, too small or negative."""
    start = rng.randrange(max(1, len(content) - 4))
    value = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**16, 255, 2**24))
    return content[:start] + struct.pack(rng.choice(("<I", ">I")), value) + content[start + 4 :]


_BYTES = (_flip, _flip, _flip, _cut, _end, _twice, _zeros, _noise, _number)


def spoilt_text(rng, content):
    """Bytes of a text, changed at signs that mean something."""
    if rng.random() < 0.3:
        return spoilt_bytes(rng, content)
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 2))):
        how, place = rng.randrange(5), rng.randrange(len(lines))
        if how == 0:
            lines.insert(place, rng.choice(lines))
        elif how == 1:
            lines.pop(place)
            lines = lines or [b""]
        elif how == 2:
            other = rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            spot = rng.randrange(len(lines[place]) + 1)
            lines[place] = lines[place][:spot] + rng.choice(TOKENS) + lines[place][spot + (how == 3) :]
    return b"\n".join(lines)


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def any_value(rng, depth=0):
    """A plain value of any kind."""
    how = rng.randrange(9)
    if how < 3:
        return rng.choice(NUMBERS)
    if how < 6 or depth > 2:
        return rng.choice(WORDS)
    if how == 6:
        return rng.choice((True, False))
    if how == 7:
        return [any_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 3)))]
    return {rng.choice(WORDS): any_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2)))}


def _places(tree):
    """(holder, key) of every value at any depth."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        found += [(node, key) for key in keys]
        waiting += [node[key] for key in keys]
    return found


def spoilt_tree(rng, tree):
    """A tree with one to three values changed, taken away, renamed, exchanged or nested."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = _places(tree)
        if not places:
            return tree
        holder, key = rng.choice(places)
        how = rng.randrange(8)
        if how <= 2:
            holder[key] = any_value(rng)
        elif how == 3:
            del holder[key]
        elif how == 4 and isinstance(holder, dict):
            holder[rng.choice(WORDS)] = holder[key] if rng.random() < 0.5 else holder.pop(key)
        elif how == 5:
            other, there = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[there]))
        elif how == 6:
            for _ in range(rng.choice((1, 2, 30, 100, 400))):
                holder[key] = [holder[key]] if rng.random() < 0.9 else {"a": holder[key]}
        else:
            holder[key] = _near(rng, holder[key])
    return tree


def spoilt_values(rng, tree):
    """A tree with one to three of its numbers or words near or far from what they were, of the same kind."""
    tree = json.loads(json.dumps(tree))
    leaves = [(holder, key) for holder, key in _places(tree) if not isinstance(holder[key], dict | list)]
    numbers = [(holder, key) for holder, key in leaves if not isinstance(holder[key], str)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder, key = rng.choice(numbers if rng.random() < 0.8 else leaves)
        value = holder[key]
        if isinstance(value, str):
            holder[key] = rng.choice([holder[key] for holder, key in leaves if isinstance(holder[key], str)])
        elif isinstance(value, int) and not isinstance(value, bool):
            holder[key] = rng.choice((0, 1, 2, 3, 7, value * 2, 10_000, 2**31, 2**62, -1))
        else:
            holder[key] = rng.choice((0.0, 1.0, 0.5, value / 10, value * 1e3, 1e30, 1e300, 1e-300, 5e-324, 0.9999))
    return tree


def _near(rng, value):
    """Something like it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((-value, value + 1, value - 1, value * 1e6, float(value), str(value)))
    if isinstance(value, str):
        return rng.choice((value.upper(), value + "x", value[:-1], f" {value}", value * 300))
    if isinstance(value, list):
        return rng.choice((value + value, value[:-1], value[::-1], value * 500))
    return {}


def spoilt_json(rng, content):
    """JSON as text or as a tree; NaN and infinity stand as Python writes them."""
    if rng.random() < 0.3:
        return spoilt_text(rng, content)
    tree = spoilt_tree(rng, json.loads(content))
    try:
        return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except RecursionError:
        return b"[" * 1000


# ── arrays ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def spoilt_array(rng, array):
    """An array of another type or shape, or with numbers that cannot be."""
    array = np.array(array)
    if array.dtype.names and array.size:
        column = array[rng.choice(array.dtype.names)].reshape(-1)
        values = (0, 1, 99) if column.dtype.kind == "u" else (-1, 0, 9, 2**31)
        column[rng.randrange(array.size)] = rng.choice(values)
        return array
    how = rng.randrange(9)
    if how == 0:
        return array.astype(rng.choice(("U8", "S4")))
    if how == 1 and array.dtype.kind in "iufb":
        kind = rng.choice(("f4", "f8", ">f8", "f2", "i1", "u8", "bool", "c8", "O"))
        with np.errstate(all="ignore"):
            return array.astype(kind)
    if how == 2 and array.ndim:
        return array[: rng.randrange(len(array) + 1)]
    if how == 3:
        return np.concatenate([array, array]) if array.ndim else np.stack([array, array])
    if how == 4:
        return array.T if array.ndim > 1 else array[..., None]
    if how == 5:
        return array.reshape(-1)
    if how == 6:
        return np.zeros(rng.choice(((), (0,), (0, 3), (3, 0), (1,), (1, 1, 1))), array.dtype)
    if array.dtype.kind in "iuf" and array.size:
        flat = array.reshape(-1)
        value = rng.choice(
            (-1, -2, 0, 1, 99, 127, 2**15, *((math.nan, math.inf, -math.inf, 1e30) * (array.dtype.kind == "f")))
        )
        with np.errstate(all="ignore"):
            for _ in range(rng.choice((1, 1, 5))):
                flat[rng.randrange(flat.size)] = np.array(value).astype(array.dtype)
    if array.dtype.kind in "US" and array.size:
        flat = array.reshape(-1)
        flat[rng.randrange(flat.size)] = rng.choice(("", "test", "zzz", str(flat[rng.randrange(flat.size)])))
    return array


def spoilt_npz(rng, content):
    """An npz with an array changed, taken away or renamed, or its bytes."""
    if rng.random() < 0.35:
        return spoilt_bytes(rng, content) if rng.random() < 0.7 else spoilt_zip(rng, content)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    name, how = rng.choice(sorted(arrays)), rng.randrange(8)
    if how == 0:
        del arrays[name]
    elif how == 1:
        arrays[rng.choice(("x", "ids", "é", "a/b", "..", name + ".npy"))] = arrays.pop(name)
    elif how == 2:
        arrays[name] = arrays[rng.choice(sorted(arrays))]
    elif arrays[name].ndim == 0 and arrays[name].dtype.kind == "U":
        arrays[name] = np.array(spoilt_json(rng, str(arrays[name][()]).encode()).decode("utf-8", "replace"))
    else:
        arrays[name] = spoilt_array(rng, arrays[name])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for word, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=True)
            archive.writestr(f"{word}.npy", member.getvalue())
    return buffer.getvalue()


def spoilt_zip(rng, content, member=None):
    """An archive of which one member was changed, its checksum with it; `member(rng, name, bytes)` changes it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name, how = rng.choice(sorted(files)), rng.randrange(10)
    if how == 0:
        del files[name]
    elif how == 1:
        files[rng.choice(sorted(files))] = files[name]
    else:
        files[name] = member(rng, name, files[name]) if member else spoilt_bytes(rng, files[name])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for word, inner in files.items():
            archive.writestr(word, inner)
    return buffer.getvalue()


# ── formats ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def spoilt_safetensors(rng, content):
    """Another header with its length set right, or other bytes."""
    if rng.random() < 0.5:
        return spoilt_bytes(rng, content)
    (length,) = struct.unpack("<Q", content[:8])
    body = content[8 + length :]
    if rng.random() < 0.3:
        start = 4 * rng.randrange(len(body) // 4)
        body = body[:start] + struct.pack("<f", rng.choice((math.nan, math.inf, 1e30))) + body[start + 4 :]
    header = spoilt_json(rng, content[8 : 8 + length])
    return struct.pack("<Q", len(header)) + header + body


def spoilt_png(rng, content):
    """A chunk with other content and its checksum set right, or other bytes."""
    if rng.random() < 0.4 or content[:4] != b"\x89PNG":
        return spoilt_bytes(rng, content)
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    number = rng.randrange(len(chunks))
    name, body = chunks[number]
    chunks[number] = (
        (name, spoilt_bytes(rng, body))
        if rng.random() < 0.8
        else (rng.choice((b"IDAT", b"tRNS", b"PLTE", b"zTXt")), body)
    )
    packed = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    return content[:8] + b"".join(packed)


def spoilt_member(rng, name, content):
    """Of an archive of XML, JSON or arrays."""
    if name.endswith(".json"):
        return spoilt_json(rng, content)
    if name.endswith(".npy"):
        buffer = io.BytesIO()
        array = spoilt_array(rng, np.load(io.BytesIO(content), allow_pickle=False))
        np.lib.format.write_array(buffer, np.asanyarray(array), allow_pickle=True)
        return buffer.getvalue()
    return spoilt_text(rng, content)
