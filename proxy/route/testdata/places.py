"""Writes places.txt: where keys live, calculated without the Go implementation.

    python3 places.py > places.txt

A line is a rule's text, a key and the shard's number, or - for none, separated
by tabs. A key is a number, or x and its canonical bytes in hexadecimal.
"""
import bisect

M = (1 << 64) - 1
P1, P2, P3, P4, P5 = (11400714785074694791, 14029467366897019727, 1609587929392839161,
                      9650029242287828579, 2870177450012600261)


def rotl(x, r):
    return ((x << r) | (x >> (64 - r))) & M


def lane(acc, x):
    return rotl((acc + x * P2) & M, 31) * P1 & M


def xxh64(data):
    """XXH64 with seed 0, after the specification."""
    n, i = len(data), 0
    word = lambda at, size: int.from_bytes(data[at:at + size], "little")
    if n >= 32:
        acc = [(P1 + P2) & M, P2, 0, -P1 & M]
        while i + 32 <= n:
            for j in range(4):
                acc[j] = lane(acc[j], word(i + 8 * j, 8))
            i += 32
        h = (rotl(acc[0], 1) + rotl(acc[1], 7) + rotl(acc[2], 12) + rotl(acc[3], 18)) & M
        for a in acc:
            h = ((h ^ lane(0, a)) * P1 + P4) & M
    else:
        h = P5
    h = (h + n) & M
    while i + 8 <= n:
        h = (rotl(h ^ lane(0, word(i, 8)), 27) * P1 + P4) & M
        i += 8
    if i + 4 <= n:
        h = (rotl(h ^ (word(i, 4) * P1 & M), 23) * P2 + P3) & M
        i += 4
    for c in data[i:]:
        h = rotl(h ^ (c * P5 & M), 11) * P1 & M
    h = (h ^ (h >> 33)) * P2 & M
    h = (h ^ (h >> 29)) * P3 & M
    return h ^ (h >> 32)


assert xxh64(b"") == 0xEF46DB3751D8E999
assert xxh64(b"abc") == 0x44BC2CF5AD770999
assert xxh64(b"Call me Ishmael. Some years ago--never mind how long precisely-") == 0x02A2E85470D6FD96


def jump(key, buckets):
    b, j = -1, 0
    while j < buckets:
        b = j
        key = (key * 2862933555777941757 + 1) & M
        j = int((b + 1) * (float(1 << 31) / float((key >> 33) + 1)))
    return b


assert jump(42, 57) == 43 and jump(0xDEAD10CC, 666) == 361


def canonical(kind, key):
    if isinstance(key, int):
        return (key & M).to_bytes(8, "big")
    return key


def place_jump(over):
    return lambda key, raw: over[jump(xxh64(raw), len(over))]


def place_mod(over):
    return lambda key, raw: over[key % len(over)]  # Python's remainder has the divisor's sign


def place_ring(weights, points):
    nodes = sorted((xxh64(b"%d/%d" % (s, i)), s) for s, w in weights.items() for i in range(w * points))

    def place(key, raw):
        at = bisect.bisect_left(nodes, (xxh64(raw), -1))
        return nodes[at % len(nodes)][1]
    return place


def place_slots(n, ranges):
    table = {}
    for first, last, shard in ranges:
        for slot in range(first, last + 1):
            table[slot] = shard
    assert sorted(table) == list(range(n))
    return lambda key, raw: table[xxh64(raw) % n]


def place_range(bounds, rest):
    def place(key, raw):
        for bound, shard in bounds:
            if key < bound:
                return shard
        return rest
    return place


def place_list(values, rest):
    return lambda key, raw: values.get(key, rest)


INTS = [0, 1, 2, 3, 5, 7, 99, 100, 101, 1000, 65535, 4294967296, -1, -2, -3, -100, 2**63 - 1, -2**63]
UINTS = [0, 1, 2, 100, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]
BYTES = [b"", b"\0", b"a", b"abc", b"abd", b"eu", b"us", b"x" * 40, bytes(range(16))]
DATES = [b"0001-01-01", b"2023-12-31", b"2024-01-01", b"2024-02-29", b"2025-01-01", b"9999-12-31"]
TIMES = [b"2024-01-01 00:00:00", b"2024-06-30 23:59:59.5", b"2024-07-01 00:00:00"]
DECIMALS = [b"0", b"-1.5", b"12.25", b"100"]
SHARDS = [0, 1, 2, 5, 9]

CASES = [
    ('jump-xxh64-1 key="id" type=int over=0,1,2', INTS, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=int over=0,1,2,5,9', INTS, place_jump(SHARDS)),
    ('jump-xxh64-1 key="id" type=bytes over=0,1,2', BYTES, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=string collation=utf8mb4_bin over=0,1,2', BYTES, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=uuid over=0,1,2', [bytes(range(16)), b"\xff" * 16], place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=date over=0,1,2', DATES, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=datetime over=0,1,2', TIMES, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=timestamp over=0,1,2', TIMES, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=decimal over=0,1,2', DECIMALS, place_jump([0, 1, 2])),
    ('jump-xxh64-1 key="id" type=time over=0,1,2', [b"00:00:00", b"-12:30:00", b"838:59:59", b"01:02:03.004"], place_jump([0, 1, 2])),
    ('ring-xxh64-1 key="id" type=int over=0:1,1:1,2:1 points=512', INTS, place_ring({0: 1, 1: 1, 2: 1}, 512)),
    ('ring-xxh64-1 key="id" type=int over=0:1,1:2,9:3 points=16', INTS, place_ring({0: 1, 1: 2, 9: 3}, 16)),
    ('ring-xxh64-1 key="id" type=bytes over=4:1 points=1', BYTES, place_ring({4: 1}, 1)),
    ('ring-xxh64-1 key="id" type=bytes over=0:1,1:1 points=3', BYTES, place_ring({0: 1, 1: 1}, 3)),
    ('slots-xxh64-1 key="id" type=int slots=1024 at=0-340:0,341-681:1,682-1023:2', INTS,
     place_slots(1024, [(0, 340, 0), (341, 681, 1), (682, 1023, 2)])),
    ('slots-xxh64-1 key="id" type=bytes slots=4 at=0:3,1-2:1,3:3', BYTES, place_slots(4, [(0, 0, 3), (1, 2, 1), (3, 3, 3)])),
    ('mod-1 key="id" type=int over=0,1,2', INTS, place_mod([0, 1, 2])),
    ('mod-1 key="id" type=int over=3,7', INTS, place_mod([3, 7])),
    ('mod-1 key="id" type=uint over=0,1,2', UINTS, place_mod([0, 1, 2])),
    ('range-1 key="id" type=int below=-2:0,100:1,101:2,max:0', INTS, place_range([(-2, 0), (100, 1), (101, 2)], 0)),
    ('range-1 key="id" type=int below=0:0,1000:1', INTS, place_range([(0, 0), (1000, 1)], None)),
    ('range-1 key="id" type=uint below=100:0,9223372036854775808:1,max:2', UINTS, place_range([(100, 0), (2**63, 1)], 2)),
    ('range-1 key="id" type=date below=2024-01-01:0,2025-01-01:1', DATES, place_range([(b"2024-01-01", 0), (b"2025-01-01", 1)], None)),
    ('range-1 key="id" type=datetime below=2024-07-01T00:00:00:0,max:1', TIMES, place_range([(b"2024-07-01 00:00:00", 0)], 1)),
    ('range-1 key="id" type=bytes below=x61:0,x616263:1,max:2', BYTES, place_range([(b"a", 0), (b"abc", 1)], 2)),
    ('list-1 key="id" type=int at=-1:2,0:0,1:0,100:1', INTS, place_list({-1: 2, 0: 0, 1: 0, 100: 1}, None)),
    ('list-1 key="id" type=int at=5:1 default=0', INTS, place_list({5: 1}, 0)),
    ('list-1 key="id" type=bytes at=x6575:0,x7573:1 default=2', BYTES, place_list({b"eu": 0, b"us": 1}, 2)),
    ('list-1 key="id" type=string collation=utf8mb4_bin at=x6575:0,x7573:1', BYTES, place_list({b"eu": 0, b"us": 1}, None)),
    ('list-1 key="id" type=date at=2024-01-01:0,2024-02-29:1', DATES, place_list({b"2024-01-01": 0, b"2024-02-29": 1}, None)),
    ('list-1 key="id" type=decimal at=-1.5:0,0:1', DECIMALS, place_list({b"-1.5": 0, b"0": 1}, None)),
]

for rule, keys, place in CASES:
    for key in keys:
        shard = place(key, canonical(rule, key))
        shown = key if isinstance(key, int) else "x" + key.hex()
        print(rule, shown, "-" if shard is None else shard, sep="\t")
