#!/usr/bin/env python3
"""Kiểm tra tệp kết quả đã công bố của một vòng thi / checks the published file of a contest round.

    python3 verify.py RESULT.jsonl [--key KEY] [--receipt RECEIPT [--code CODE]] [--lang vi|en]
    python3 verify.py CONTEST.jsonl --rounds RESULT1.jsonl RESULT2.jsonl … [--key KEY] [--lang vi|en]

It needs Python 3.8 or newer and nothing else; only the signatures take the package `cryptography` (pip install cryptography).
It shares no code with the software that wrote the file: what it says follows from the file alone. It is one file on purpose,
to be taken alone and read from top to bottom. README.md explains the rest.

Exit code: 0 all is right; 1 something is not (it is said what and where); 2 the file or the arguments cannot be read;
3 all is right, but no signature was checked, because `cryptography` is missing.
"""

import argparse
import base64
import gzip
import hashlib
import hmac
import json
import os
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from fractions import Fraction

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

FORMAT = "hoithi.round/1"
CONTEST = "hoithi.contest/1"  # the prizes of a contest over all its rounds
COLUMNS = [
    "person", "n", "unit", "started", "received", "deadline", "verdict", "reason", "correct", "total", "prediction",
    "receipt", "rank",
]  # fmt: skip
MINUTE = 60_000_000  # microseconds
NO_PREDICTION = 2**53  # stands behind every prediction
SHOWN = 10  # differences of a kind that are shown one by one

LANGUAGE = "vi"


def say(vi, en):
    return vi if LANGUAGE == "vi" else en


class Unreadable(Exception):
    """There is nothing that could be checked."""


class Report:
    """What was found, in order. `differs` says where and what; of many of a kind the first are shown."""

    def __init__(self):
        self.found, self.kinds = [], {}

    def differs(self, kind, where, vi, en):
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if self.kinds[kind] <= SHOWN:
            self.found.append(f"{where}: {say(vi, en)}")

    def ended(self, kind, vi, en):
        """Prints a line for a check that has ended: right if no difference of this kind was found."""
        text, count = say(vi, en), self.kinds.get(kind, 0)
        print(f"[ OK ] {text}" if not count else say(f"[SAI ] {text}: {count} chỗ", f"[FAIL] {text}: {count} differences"))


def line(number):
    return say(f"dòng {number}", f"line {number}")


# ---------------------------------------------------------------- 1. the bytes of the file


def read(path):
    """The file's lines as bytes, each with its line feed. A .gz is unpacked."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            lines = _split(file.read())
    except (OSError, EOFError) as error:
        raise Unreadable(str(error)) from error
    except Exception as error:  # zlib.error: the packed bytes were changed
        raise Unreadable(say(f"tệp nén hỏng: {error}", f"the packed file is damaged: {error}")) from error
    if len(lines) < 2:
        raise Unreadable(say("tệp không có đủ dòng", "the file has too few lines"))
    return lines


def _split(content):
    """Lines end with a line feed and with nothing else."""
    lines = [each + b"\n" for each in content.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def check_bytes(lines, key, report):
    """The blocks of lines against the digests of the last line, those against the signature. Returns the signature's state:
    True, False, or None where it cannot be checked."""
    last = line(len(lines))
    try:
        end = json.loads(lines[-1])
        as_written = json.dumps(end, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        digests, size = list(end["blocks"]), end["block"]
        if as_written != lines[-1] or list(end) != ["lines", "block", "blocks", "digest", "key", "signature"]:
            raise ValueError(say("không đúng dạng", "not in the form that it must have"))
        if type(size) is not int or size < 1:
            raise ValueError("block")
        signed, signature, own_key = (_hex(end[name], n) for name, n in (("digest", 32), ("signature", 64), ("key", 32)))
    except (ValueError, KeyError, TypeError) as error:
        report.differs("bytes", last, f"dòng cuối đã bị sửa ({error})", f"the last line was changed ({error})")
        report.ended("bytes", "Mã băm của từng khối dòng", "The digests of the blocks of lines")
        return False
    body = lines[:-1]
    if end["lines"] != len(body):
        report.differs(
            "bytes", last, f"ghi {end['lines']} dòng, có {len(body)}", f"says {end['lines']} lines, there are {len(body)}"
        )
    blocks = [body[start : start + size] for start in range(0, len(body), size)]
    if len(blocks) != len(digests):
        report.differs("bytes", last, f"{len(digests)} khối, có {len(blocks)}", f"{len(digests)} blocks, there are {len(blocks)}")
    for number, (block, digest) in enumerate(zip(blocks, digests)):
        if hashlib.sha256(b"".join(block)).hexdigest() != digest:
            first, to = number * size + 1, number * size + len(block)
            where = say(f"dòng {first} đến {to}", f"lines {first} to {to}")
            report.differs("bytes", where, "nội dung không khớp mã băm ở dòng cuối", "not what the last line's digest is of")
    if hashlib.sha256("".join(map(str, digests)).encode()).digest() != signed:
        report.differs("bytes", last, "mã băm chung không khớp các mã băm khối", "the digest does not fit those of the blocks")
    report.ended("bytes", "Mã băm của từng khối dòng", "The digests of the blocks of lines")
    if key is not None and key != own_key:
        report.differs(
            "signature", last, "tệp do khóa khác ký, không phải khóa bạn đưa", "signed with another key than the one you gave"
        )
    what = b"hoithi contest 1\n" if is_contest(lines) else b"hoithi round 1\n"
    state = signed_by(key or own_key, signature, what + signed)
    if state is False:
        report.differs("signature", last, "chữ ký không khớp", "the signature does not fit")
    if state is not None:
        report.ended("signature", "Chữ ký Ed25519", "The signature (Ed25519)")
    print(say("       Khóa công khai: ", "       Public key: ") + (key or own_key).hex())
    if key is None:
        print(say("       Hãy đối chiếu với khóa Ban Tổ chức đã công bố, hoặc đưa khóa đó bằng --key.",
                  "       Compare it with the key that the organisers have published, or give that one with --key."))  # fmt: skip
    return state


def is_contest(lines):
    return lines[0].startswith(b'{"format":"%s"' % CONTEST.encode())


def _hex(text, size):
    raw = bytes.fromhex(text)
    if len(raw) != size or raw.hex() != text:
        raise ValueError(text)
    return raw


def signed_by(key, signature, message):
    """Whether the signature fits; None without the package that knows."""
    if Ed25519PublicKey is None:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# ---------------------------------------------------------------- 2. what the lines say


class Row:
    """An attempt. `line` is its line in the file."""

    def __init__(self, number, values):
        self.line = number
        for name, value in zip(COLUMNS, values):
            setattr(self, name, value)
        self.leaf = base64.b64decode(self.receipt, b"-_", validate=True)

    @property
    def label(self):
        """What a draw goes by."""
        return f"{self.received}:{self.started}"

    @property
    def elapsed(self):
        """Whole milliseconds."""
        return (self.received - self.started) // 1000


_KINDS = {
    "person": (str,), "n": (int,), "unit": (str,), "started": (int,), "received": (int,), "deadline": (int, type(None)),
    "verdict": (str,), "reason": (str, type(None)), "correct": (int,), "total": (int,), "prediction": (int, type(None)),
    "receipt": (str,), "rank": (int, type(None)),
}  # fmt: skip


def parse(lines, report):
    """The header and the rows, or None where a line is not what it must be."""
    header, rows = None, []
    for number, text in enumerate(lines[:-1], 1):
        try:
            value = json.loads(text.decode("utf-8"))
            if number == 1:
                header = value
                if header["format"] != FORMAT or header["columns"] != COLUMNS:
                    raise ValueError(say("định dạng lạ", "an unknown format"))
                continue
            if type(value) is not list or len(value) != len(COLUMNS):
                raise ValueError(say(f"không phải {len(COLUMNS)} cột", f"not {len(COLUMNS)} columns"))
            for name, each in zip(COLUMNS, value):
                if type(each) not in _KINDS[name]:
                    raise ValueError(name)
            row = Row(number, value)
            if row.verdict not in ("valid", "late", "disqualified") or len(row.leaf) != 32:
                raise ValueError(row.verdict)
            rows.append(row)
        except (ValueError, KeyError, TypeError) as error:
            report.differs("lines", line(number), f"không đọc được ({error})", f"cannot be read ({error})")
    report.ended("lines", f"{len(rows)} lượt thi đọc được", f"{len(rows)} attempts read")
    return None if "lines" in report.kinds else (header, rows)


def micros(text):
    """Microseconds since 1970 of a time as RFC 3339 writes it."""
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1)


# ---------------------------------------------------------------- 3. verdicts, figures, ranks


def check_verdicts(header, rows, report):
    """Late is what came past the deadline: the minutes after the start, or the closing if that is sooner; or the attempt's own
    deadline (extra time). Disqualified is what people decided: a reason is given. No attempt stands twice."""
    plan, seen = header["round"], {}
    closes, minutes, grace = micros(plan["closes"]), plan["minutes"], header["grace_us"]
    for row in rows:
        attempt = row.person, row.n
        if attempt in seen:
            report.differs(
                "verdicts",
                line(row.line),
                f"lượt này đã có ở dòng {seen[attempt]}",
                f"this attempt stands in line {seen[attempt]} already",
            )
        seen[attempt] = row.line
        deadline = min(row.started + minutes * MINUTE, closes) if row.deadline is None else row.deadline
        late = row.received > deadline + grace
        if row.verdict != "disqualified" and late != (row.verdict == "late"):
            should = "late" if late else "valid"
            report.differs("verdicts", line(row.line), f"ghi {row.verdict}, phải là {should}", f"says {row.verdict}, is {should}")
        if (row.verdict == "disqualified") != (row.reason is not None):
            report.differs("verdicts", line(row.line), "lý do loại không khớp kết luận", "reason and verdict do not fit")
        if not (1 <= row.n <= plan["attempts"] and 0 <= row.correct <= row.total == plan["questions"]):
            report.differs("verdicts", line(row.line), "số lượt hoặc số câu vô lý", "impossible number of attempts or questions")
    report.ended("verdicts", "Đúng hạn, trễ hạn, bị loại", "In time, late, disqualified")


def check_figures(header, valid, rows, report):
    """The totals of the header, and the figure that was to be predicted: people with a valid attempt without a fault."""
    figures = {
        "attempts": len(rows),
        "valid": len(valid),
        "people": len({row.person for row in valid}),
        "perfect": len({row.person for row in valid if row.correct == row.total}),
    }
    for name, figure in figures.items():
        if header[name] != figure:
            report.differs(
                "figures",
                line(1),
                f"{name} ghi {header[name]}, tính lại được {figure}",
                f"{name} says {header[name]}, derived {figure}",
            )
    vi = "Số lượt {attempts}, hợp lệ {valid}, người {people}, đúng tất cả {perfect}"
    en = "Attempts {attempts}, valid {valid}, people {people}, without a fault {perfect}"
    report.ended("figures", vi.format(**figures), en.format(**figures))
    return figures["perfect"]


def ranking_key(criteria, perfect):
    """Smaller is better. A criterion is e.g. "correct desc"."""
    values = {
        "correct": lambda row: row.correct,
        "prediction_gap": lambda row: NO_PREDICTION if row.prediction is None else abs(row.prediction - perfect),
        "elapsed": lambda row: row.elapsed,
        "received_at": lambda row: row.received,
    }
    parts = []
    for criterion in criteria:
        name, direction = criterion.split(" ")
        parts.append((values[name], {"asc": 1, "desc": -1}[direction]))
    return lambda row: [sign * value(row) for value, sign in parts]


def rank(header, valid, perfect):
    """Pairs of rank and row: of each person the attempt that counts, best first. Equals share the rank of the first of them."""
    counting, key = header["round"]["counting"], ranking_key(header["round"]["ranking"], perfect)
    before = {"best": lambda row: (key(row), row.n), "first": lambda row: row.n, "last": lambda row: -row.n}[counting]
    counts = {}
    for row in valid:
        held = counts.get(row.person)
        if held is None or before(row) < before(held):
            counts[row.person] = row
    ranked, last = [], None
    for place, row in enumerate(sorted(counts.values(), key=lambda row: (key(row), row.person)), 1):
        value = key(row)
        ranked.append((ranked[-1][0] if value == last else place, row))
        last = value
    return ranked


def check_ranks(rows, ranked, report):
    derived = {row.line: number for number, row in ranked}
    for row in rows:
        number = derived.get(row.line)
        if row.rank != number:
            none = say("không xếp hạng", "no rank")
            says, is_ = (none if each is None else each for each in (row.rank, number))
            report.differs("ranks", line(row.line), f"hạng ghi {says}, tính lại được {is_}", f"rank says {says}, derived {is_}")
    report.ended("ranks", f"Thứ hạng của {len(ranked)} người", f"The ranks of {len(ranked)} people")


# ---------------------------------------------------------------- 4. prizes and draws


def ladders(header, ranked):
    """Every list of contenders with its prizes: (name, [name of the prize of each place], [(rank, id, label)])."""
    excluded = {each["person"] for each in header["excluded"]}
    people = [(place, row.person, row.label) for place, row in ranked if row.person not in excluded]
    yield "persons", steps(header["prizes"]), people
    groups = {}
    for prize in header.get("unit_prizes", []):
        groups.setdefault((prize["by"] or "people", prize["least"], *scope(prize)), []).append(prize)
    for (by, least, tree, level), prizes in groups.items():
        where = (f" in {tree}" if tree else "") + (f" at {level}" if level else "")
        units = [unit for unit in header["units"] if scope(unit) == (tree, level)]
        yield f"units by {by} >= {least}{where}", steps(prizes), rank_units(units, by, least)


def scope(each):
    """The tree of units and the level in it that a prize is for, or a unit stands in; the first tree and its lowest level where
    nothing is said."""
    return each.get("tree", ""), each.get("level", 0)


def steps(prizes):
    return [prize["name"] for prize in prizes for _ in range(prize["count"])]


def rank_units(units, by, least):
    """By rate: people / headcount, at most 1, then people. Without a headcount a unit does not compete by rate."""
    values = {}
    for unit in units:
        people, headcount = unit["people"], unit["headcount"]
        if people <= 0 or (headcount is None and (by == "rate" or least)):
            continue
        if headcount is not None and headcount < max(least, 1 if by == "rate" else 0):
            continue
        values[unit["code"]] = [min(Fraction(people, headcount), 1), people] if by == "rate" else [people]
    return [(1 + sum(other > value for other in values.values()), code, code) for code, value in values.items()]


def check_units(header, homes, report):
    """The people of each unit from the lines: everybody counts once, where `homes` says (the unit of the latest valid attempt),
    and in no two units that compete for the same prize. Which units make up another is the organisers' word (`within`)."""
    there, taken = Counter(homes.values()), set()
    told = [unit for unit in header.get("units", []) if "within" in unit]
    for unit in told:
        people = sum(there[code] for code in unit["within"])
        if unit["people"] != people:
            vi, en = "{}: ghi {} người, tính lại được {}", "{}: says {} people, derived {}"
            facts = unit["code"], unit["people"], people
            report.differs("units", line(1), vi.format(*facts), en.format(*facts))
        for code in unit["within"]:
            if (code, *scope(unit)) in taken:
                report.differs("units", line(1), f"{code} được tính hai lần", f"{code} counts twice")
            taken.add((code, *scope(unit)))
    if told:
        report.ended("units", f"Số người của {len(told)} đơn vị", f"The people of {len(told)} units")


def latest(rows):
    """The latest valid attempt of each person, by their name in the file."""
    return {row.person: row for row in sorted(rows, key=lambda row: (row.received, row.n)) if row.verdict == "valid"}


def draw(draws, members):
    """The order in which equals come out: by HMAC-SHA-256 with the seed over the hash of the list, the beacon and the label."""
    labels = "".join(f"{label}\n" for label in sorted(label for _, _, label in members)).encode()
    told = hashlib.sha256(labels).digest() + (draws["beacon"]["value"].encode() if draws["beacon"] else b"") + b"\n"
    seed = bytes.fromhex(draws["seed"])
    lots = [(hmac.new(seed, told + label.encode(), "sha256").hexdigest(), who, label) for _, who, label in members]
    return hashlib.sha256(labels).hexdigest(), sorted(lots, key=lambda lot: lot[:2])


def check_draws(header, report):
    draws = header["draws"]
    if draws is None:
        return
    if hashlib.sha256(b"hoithi draw 1\n" + _hex(draws["seed"], 32)).hexdigest() != draws["commitment"]:
        report.differs("draws", line(1), "hạt giống không khớp cam kết", "the seed does not fit its commitment")
    if draws["committed_at"] is not None and micros(draws["committed_at"]) >= micros(header.get("round", header)["closes"]):
        report.differs("draws", line(1), "cam kết được lập sau khi vòng thi đóng", "the commitment was made after the closing")
    report.ended("draws", "Cam kết của hạt giống bốc thăm", "The commitment of the draw's seed")
    compare_with = say("Hãy đối chiếu với cam kết công bố khi mở vòng thi", "Compare with what was published at the opening")
    print(f"       {compare_with}: {draws['commitment']}")


def check_prizes(header, ranked, report):
    """Derives the awards and every draw, and compares them with those of the header."""
    awards, minutes = [], []
    for name, prizes, contenders in ladders(header, ranked):
        groups = {}
        for contender in contenders:
            groups.setdefault(contender[0], []).append(contender)
        place = 1
        for number in sorted(groups):
            if place > len(prizes):
                break
            members = groups[number]
            last = place + len(members) - 1
            order = sorted(who for _, who, _ in members)
            if len({prizes[at - 1] if at <= len(prizes) else None for at in range(place, min(last, len(prizes) + 1) + 1)}) > 1:
                if header["draws"] is None:
                    report.differs(
                        "prizes",
                        line(1),
                        f"{name}: hạng {number} đồng hạng mà không có bốc thăm",
                        f"{name}: a tie at rank {number}, no draw",
                    )
                    return
                hashed, lots = draw(header["draws"], members)
                order = [who for _, who, _ in lots]
                minutes.append({"ladder": name, "rank": number, "first": place, "last": last, "list_hash": hashed,
                                "order": [{"id": who, "label": label, "lot": lot} for lot, who, label in lots]})  # fmt: skip
            for at, who in enumerate(order[: len(prizes) - place + 1], place):
                awards.append({"ladder": name, "prize": prizes[at - 1], "place": at, "winner": who, "rank": number})
            place = last + 1
    told = [{key: value for key, value in award.items() if key != "name"} for award in header["awards"]]
    compare("prizes", told, awards, say("giải thứ", "award"), report)
    compare("lots", header["draws"]["minutes"] if header["draws"] else [], minutes, say("lần bốc thăm thứ", "draw"), report)
    report.ended("prizes", f"{len(awards)} giải", f"{len(awards)} awards")
    report.ended("lots", f"{len(minutes)} lần bốc thăm", f"{len(minutes)} draws")


def compare(kind, told, derived, what, report):
    for at in range(max(len(told), len(derived))):
        says, is_ = (each[at] if at < len(each) else None for each in (told, derived))
        if says != is_:
            keys = [key for key in (is_ or says) if (says or {}).get(key) != (is_ or {}).get(key)]
            shown = [json.dumps({key: (each or {}).get(key) for key in keys}, ensure_ascii=False) for each in (says, is_)]
            where = f"{line(1)}, {what} {at + 1}"
            report.differs(kind, where, "ghi {}, tính lại được {}".format(*shown), "says {}, derived {}".format(*shown))


# ---------------------------------------------------------------- 5. receipts


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def merkle_root(leaves):
    """The root of RFC 9162; a node without a sibling rises as it is."""
    while len(leaves) > 1:
        above = [node(leaves[i], leaves[i + 1]) for i in range(0, len(leaves) - 1, 2)]
        leaves = above + leaves[-1:] if len(leaves) % 2 else above
    return leaves[0] if leaves else b""


def check_root(header, rows, report):
    if merkle_root([row.leaf for row in rows]).hex() != header["receipts"]:
        report.differs(
            "receipts",
            line(1),
            "gốc Merkle không khớp cột receipt của các dòng",
            "the Merkle root does not fit the rows' column receipt",
        )
    report.ended("receipts", "Cây Merkle của các biên nhận", "The Merkle tree of the receipts")


def unpack(raw):
    """The values of a receipt: one MessagePack array of whole numbers, texts and bytes."""

    def take(size):
        nonlocal at
        if at + size > len(raw):
            raise ValueError("too short")
        at += size
        return raw[at - size : at]

    def value():
        first = take(1)[0]
        if first < 0x80:
            return first
        if 0x90 <= first <= 0x9F:
            return [value() for _ in range(first & 0x0F)]
        if 0xA0 <= first <= 0xBF:
            return take(first & 0x1F).decode()
        if 0xCC <= first <= 0xCF:
            return int.from_bytes(take(1 << (first - 0xCC)), "big")
        lengths = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
        if first not in lengths:
            raise ValueError(hex(first))
        content = take(int.from_bytes(take(lengths[first]), "big"))
        return content if first < 0xD0 else content.decode()

    at = 0
    values = value()
    form = [int, str, int, bytes, int, int, bytes, bytes]
    if at != len(raw) or type(values) is not list or [type(each) for each in values] != form:
        raise ValueError("form")
    return values


def root_of_path(leaf, index, size, path):
    """The root that a receipt's path leads to."""
    siblings, last = [path[i : i + 32] for i in range(0, len(path), 32)], size - 1
    while last:
        if index ^ 1 <= last:
            leaf = node(siblings.pop(0), leaf) if index % 2 else node(leaf, siblings.pop(0))
        index, last = index // 2, last // 2
    if siblings:
        raise IndexError("path")
    return leaf


def check_receipt(text, code, key, header, rows, report):
    """The receipt's own signature; then its row in the file. With the look-up code the row is proven to be its own; without it
    the row is the one received at that very microsecond."""
    here = say("biên nhận", "receipt")
    try:
        raw = "".join(text.split())
        version, attempt, received, digest, index, size, path, signature = unpack(
            base64.b64decode(raw + "=" * (-len(raw) % 4), b"-_", True)
        )
        if version != 1 or not 0 <= index < size:
            raise ValueError(version)
        n = int(attempt.split(":")[2])
        leaf = hashlib.sha256(b"\0" + attempt.encode() + b"\n%d\n" % received + digest).digest()
        root = root_of_path(leaf, index, size, path)
    except (ValueError, IndexError) as error:
        raise Unreadable(say(f"biên nhận không đọc được ({error})", f"the receipt cannot be read ({error})")) from error
    state = signed_by(key, signature, b"hoithi receipts 1\n" + root)
    if state is False:
        report.differs("receipt", here, "chữ ký không khớp", "the signature does not fit")
    if attempt.split(":")[1] != header["round"]["id"]:
        report.differs("receipt", here, f"thuộc vòng khác: {attempt}", f"of another round: {attempt}")
    mine = [row for row in rows if row.received == received and row.n == n]
    if code is not None:
        seal = hashlib.sha256(b"\0" + code + leaf).digest()
        mine = [row for row in mine if row.leaf == seal]
    if not mine:
        report.differs("receipt", here, "không có dòng nào trong tệp khớp biên nhận này", "no row of the file fits this receipt")
    how = say("khớp thời điểm nhận", "by the time of receipt")
    if code is not None:
        how = say("khớp từng bit (mã tra cứu)", "proven (look-up code)")
    for row in mine:
        print(f"       {line(row.line)}: {how}; verdict={row.verdict}, correct={row.correct}/{row.total}, rank={row.rank}")
    report.ended("receipt", "Biên nhận", "The receipt")


# ---------------------------------------------------------------- 6. a contest over all its rounds


class Person:
    """Somebody in the file of a contest. `rounds` are their names in the files of the rounds, None where they were not in one."""

    def __init__(self, number, values):
        self.line = number
        self.person, self.rounds, self.rank = values
        self.shares = []

    @property
    def label(self):
        """What a draw goes by."""
        return ",".join(row.label if row else "-" for row in self.shares)


def check_contest(lines, paths, key, report):
    """Derives the ranks and winners of a contest from the files of its rounds."""
    header = json.loads(lines[0])
    people = [Person(number, json.loads(text)) for number, text in enumerate(lines[1:-1], 2)]
    rounds = check_rounds(header, paths, key, report)
    if rounds is None:
        return
    for at, (_, _, rows, _) in enumerate(rounds):
        taken = [each.rounds[at] for each in people if each.rounds[at] is not None]
        if sorted(taken) != sorted(rows):
            where = header["rounds"][at]["round"]
            report.differs("people", where, "danh sách người không khớp tệp vòng này", "not the people of this round's file")
    for each in people:
        each.shares = [rows.get(name) for name, (_, _, rows, _) in zip(each.rounds, rounds)]
    if header["people"] != len(people) or len({each.person for each in people}) != len(people):
        report.differs("people", line(1), "số người không khớp", "the number of people does not fit")
    report.ended("people", f"{len(people)} người của {len(rounds)} vòng", f"{len(people)} people of {len(rounds)} rounds")
    keys = {each.person: contest_key(header, rounds, each) for each in people}
    ranked, last = [], None
    for place, each in enumerate(sorted(people, key=lambda each: (keys[each.person], each.person)), 1):
        ranked.append((ranked[-1][0] if keys[each.person] == last else place, each))
        last = keys[each.person]
    check_ranks(people, ranked, report)
    check_draws(header, report)
    check_units(header, {each.person: home(rounds, each) for each in people}, report)
    check_prizes(header, ranked, report)


def home(rounds, person):
    """The unit in which somebody counts: that of their latest valid attempt of all rounds."""
    found = [last[name] for name, (_, _, _, last) in zip(person.rounds, rounds) if name in last]
    return max(enumerate(found), key=lambda each: (each[1].received, each[0]))[1].unit


def check_rounds(header, paths, key, report):
    """(header, number without a fault, {name: row that counts}, {name: latest valid row}) of every round, in order; None where a
    file is missing."""
    found = {}
    for path in paths:
        lines = read(path)
        print(say(f"\nTệp vòng thi {path}:", f"\nThe round's file {path}:"))
        check_bytes(lines, key, report)
        parsed = parse(lines, report)
        if parsed is None:
            return None
        told, rows = parsed
        digest = json.loads(lines[-1])["digest"]
        found[digest] = told, told["perfect"], {row.person: row for row in rows if row.rank is not None}, latest(rows)
    wanted = [each["digest"] for each in header["rounds"]]
    for each in header["rounds"]:
        told = found.get(each["digest"])
        fits = told and (told[0]["round"]["id"], told[0]["round"]["minutes"]) == (each["round"], each["minutes"])
        if not fits or (told[0]["round"]["prediction"] is not None) != each["prediction"]:
            report.differs("rounds", each["round"], "thiếu đúng tệp của vòng này (--rounds)", "its file is missing (--rounds)")
    print()
    report.ended("rounds", f"Tệp của {len(wanted)} vòng", f"The files of {len(wanted)} rounds")
    if "rounds" in report.kinds:
        return None
    rounds = [found[digest] for digest in wanted]
    last = max(rounds, key=lambda each: micros(each[0]["round"]["opens"]))[0]["round"]
    if last["ranking"] != header["ranking"] or max(micros(each[0]["round"]["closes"]) for each in rounds) != micros(
        header["closes"]
    ):
        report.differs("rounds", line(1), "thể lệ không phải của vòng cuối", "not the rules of the last round")
    return rounds


def contest_key(header, rounds, person):
    """Smaller is better: the right answers of all rounds, then what the ranking says, added up. Who was not in a round has no
    right answer there, no prediction, and took all the time."""
    correct = gap = elapsed = 0
    for (told, perfect, _, _), row in zip(rounds, person.shares):
        correct += row.correct if row else 0
        elapsed += row.elapsed if row else told["round"]["minutes"] * 60_000
        if told["round"]["prediction"] is not None:
            gap += NO_PREDICTION if row is None or row.prediction is None else abs(row.prediction - perfect)
    values = {"prediction_gap": gap, "elapsed": elapsed}
    criteria = [each.split(" ") for each in header["ranking"]]
    return [-correct] + [(1 if way == "asc" else -1) * values[name] for name, way in criteria if name in values]


# ---------------------------------------------------------------- the whole


def verify(path, key=None, receipt=None, code=None, rounds=()):
    """Checks everything, prints what it finds, and returns the exit code."""
    report, lines = Report(), read(path)
    signature = check_bytes(lines, key, report)
    if is_contest(lines):
        try:
            check_contest(lines, rounds, key, report)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            what = f"{type(error).__name__} {error}"
            report.differs("header", line(1), f"tệp không đúng dạng ({what})", f"the file is malformed ({what})")
        return conclude(report, signature)
    parsed = parse(lines, report)
    if parsed is not None:
        header, rows = parsed
        try:
            valid = [row for row in rows if row.verdict == "valid"]
            check_verdicts(header, rows, report)
            perfect = check_figures(header, valid, rows, report)
            ranked = rank(header, valid, perfect)
            check_ranks(rows, ranked, report)
            check_draws(header, report)
            check_units(header, {person: row.unit for person, row in latest(rows).items()}, report)
            check_prizes(header, ranked, report)
            check_root(header, rows, report)
            say_override(header)
            if receipt is not None:
                check_receipt(receipt, code, key or bytes.fromhex(json.loads(lines[-1])["key"]), header, rows, report)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            what = f"{type(error).__name__} {error}"
            report.differs("header", line(1), f"phần đầu không đúng dạng ({what})", f"the header is malformed ({what})")
    return conclude(report, signature)


def say_override(header):
    """No difference, but something to know: the organisers did not wait until every submission was surely in."""
    if header.get("override"):
        print(say("       Lưu ý: Ban Tổ chức đã chốt khi hệ thống chưa xác nhận mọi bài đã về.",
                  "       Note: this was settled before the system could confirm that all was in."))  # fmt: skip


def conclude(report, signature):
    if report.found:
        print(say("\nTỆP NÀY KHÔNG ĐÚNG:", "\nTHIS FILE IS NOT RIGHT:"))
        for each in report.found:
            print("  - " + each)
        for kind, count in report.kinds.items():
            if count > SHOWN:
                print(say(f"  … và {count - SHOWN} chỗ khác ({kind})", f"  … and {count - SHOWN} more ({kind})"))
        return 1
    if signature is None:
        print(say("\nMọi thứ khớp, nhưng CHỮ KÝ CHƯA ĐƯỢC KIỂM TRA: hãy cài gói cryptography (pip install cryptography).",
                  "\nAll is right, but THE SIGNATURE WAS NOT CHECKED: install the package cryptography."))  # fmt: skip
        return 3
    print(say("\nMọi thứ khớp: kết quả tính lại trùng với kết quả đã công bố.",
              "\nAll is right: what was derived is what was published."))  # fmt: skip
    return 0


def main(arguments=None):
    global LANGUAGE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="RESULT.jsonl, RESULT.jsonl.gz")
    parser.add_argument("--key", help="the organisers' public key: 64 hex digits, or its base64, or a file with it")
    parser.add_argument("--receipt", help="a receipt's text, or a file with it")
    parser.add_argument("--code", help="the look-up code of that attempt (mã tra cứu), 32 hex digits")
    parser.add_argument("--rounds", nargs="+", default=(), help="the files of all rounds, where FILE is of a contest's prizes")
    parser.add_argument("--lang", choices=("vi", "en"), default="vi")
    options = parser.parse_args(arguments)
    LANGUAGE = options.lang
    try:
        key = None if options.key is None else read_key(text_of(options.key))
        code = None if options.code is None else _hex(options.code.strip().lower(), 16)
        return verify(options.file, key, None if options.receipt is None else text_of(options.receipt), code, options.rounds)
    except Unreadable as error:
        print(error, file=sys.stderr)
    except ValueError as error:
        print(say(f"khóa hoặc mã tra cứu không đúng dạng: {error}", f"malformed key or code: {error}"), file=sys.stderr)
    return 2


def text_of(argument):
    """The argument itself, or what the file of that name holds."""
    if len(argument) < 256 and os.path.isfile(argument):
        with open(argument, encoding="utf-8") as file:
            return file.read().strip()
    return argument.strip()


def read_key(text):
    raw = bytes.fromhex(text) if len(text) == 64 else base64.b64decode(text + "=" * (-len(text) % 4), b"-_", True)
    if len(raw) != 32:
        raise ValueError(text)
    return raw


if __name__ == "__main__":
    sys.exit(main())
