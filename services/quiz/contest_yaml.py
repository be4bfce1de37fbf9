"""Reads `contest.yaml` by its schema. A converter stops at its first fault and knows no lines; this reader names all, with lines.

It walks YAML's nodes, which know their lines, along the types that msgspec reads from the classes below. What has no fault is
kept even where something else has one, so that the rules between settings are checked in the same go.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect as mi
import yaml

from services.events import Category, Document
from services.kit.faults import Faults

CONTEST = "contest.yaml"

Rank = Literal["correct desc", "prediction_gap asc", "elapsed asc", "received_at asc"]
Id = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


PUBLISHING = "công bố"
"""What a consent must speak of before winners may be named in full."""


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant agrees to."""

    version: str
    text: str


def allows_names(consent: str) -> bool:
    """Whether a consent speaks of publishing at all; what it says exactly is for its readers."""
    return PUBLISHING in unicodedata.normalize("NFC", consent).lower()


class PaperPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How papers are drawn, and the minutes for one."""

    questions: Count
    minutes: Annotated[int, msgspec.Meta(ge=1, le=600)]
    codes: Annotated[int, msgspec.Meta(ge=1, le=999)]
    blueprint: dict[str, Count]
    prediction: str | None = None


class Show(msgspec.Struct, frozen=True, kw_only=True):
    """When participants see what. A key or a count of perfect papers never shows while a round runs."""

    score: Literal["at_once", "after_close"]
    key: Literal["after_close"] = "after_close"
    perfect_count: Literal["after_close"] = "after_close"


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A round; its times are those of the contest's timezone."""

    id: Id
    name: str
    opens: str
    closes: str


class TreeName(msgspec.Struct, frozen=True, kw_only=True):
    """A tree of units; the first one is what is shown first."""

    id: Id
    name: str


class Prize(msgspec.Struct, frozen=True, kw_only=True):
    """So many prizes of a name; units are ranked `by` their rate or their people, in a `tree` (the first one, unless named) at a
    `level` (1 is the top, 0 all that have none below them). Units with a headcount below `least` do not compete."""

    name: str
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    by: Literal["rate", "people"] | None = None
    least: Annotated[int, msgspec.Meta(ge=0, le=9_999_999)] = 0
    tree: str = ""
    level: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0


class Prizes(msgspec.Struct, frozen=True, kw_only=True):
    """The prizes of each round, of the whole contest, and of units in the whole contest."""

    round: list[Prize] = []
    overall: list[Prize] = []
    unit: list[Prize] = []


class Contest(msgspec.Struct, frozen=True, kw_only=True):
    """`contest.yaml` as an organiser writes it."""

    id: Id
    title: str
    kind: str
    owner: str
    timezone: str
    documents: list[Document] = []
    categories: Annotated[list[Category], msgspec.Meta(min_length=1)]
    consent: Consent
    paper: PaperPlan
    attempts_per_round: Annotated[int, msgspec.Meta(ge=1, le=100)]
    counting: Literal["best", "first", "last"]
    ranking: Annotated[list[Rank], msgspec.Meta(min_length=1)]
    show: Show
    rounds: Annotated[list[Round], msgspec.Meta(min_length=1)]
    publish_names: Literal["masked", "winners"] = "masked"
    trees: list[TreeName] = []
    prizes: Prizes | None = None


_SCHEMA = mi.type_info(Contest)
_BAD: Any = object()
"""Stands for a value that has a fault. Lists keep it, so that places stay what they are in the file."""


class Settings:
    """A `contest.yaml`, read as far as it can be."""

    def __init__(self, text: str | None, faults: Faults) -> None:
        self._faults = faults
        self._lines: dict[str, int] = {}
        self._values: dict[str, Any] = {}
        if text is not None and (root := self._compose(text)) is not None:
            assert isinstance(_SCHEMA, mi.StructType)
            self._values = self._fields(root, _SCHEMA, "")

    def get(self, name: str) -> Any:
        """A top-level setting; None where it has a fault."""
        return self._values.get(name)

    def items(self, name: str) -> list[tuple[str, Any]]:
        """The faultless items of a top-level list, each with its path."""
        return [(f"{name}[{place}]", item) for place, item in enumerate(self.get(name) or []) if item is not _BAD]

    def whole(self) -> Contest:
        """The contest. Only where no fault was found."""
        return Contest(**self._values)

    def fault(self, path: str, message: str, **values: object) -> None:
        """Notes a fault of a setting at its line, or that of the setting around it."""
        known = path
        while known and known not in self._lines:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        self._faults.add(CONTEST, self._lines.get(known), path or None, message, **values)

    def _compose(self, text: str) -> yaml.Node | None:
        try:
            root = yaml.compose(text, Loader=yaml.BaseLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            # A character that YAML forbids comes without a mark, but with its position.
            row = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
            self._faults.add(CONTEST, row, None, "Không đọc được YAML.")
            return None
        if root is None:
            self._faults.add(CONTEST, None, None, "Tệp trống.")
        return root

    def _read(self, node: yaml.Node, type: mi.Type, path: str) -> Any:
        """The value of a node, or _BAD after its faults have been noted."""
        match type:
            case mi.UnionType(types):
                if isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null"):
                    return None
                return self._read(node, next(t for t in types if not isinstance(t, mi.NoneType)), path)
            case mi.StructType(cls):
                values = self._fields(node, type, path)
                needed = {field.name for field in type.fields if field.required}
                return cls(**values) if needed <= values.keys() else _BAD
            case mi.DictType(_, value_type):
                pairs = [(key, self._read(child, value_type, _join(path, key))) for key, child in self._pairs(node, path)]
                return dict(pairs) if pairs and all(value is not _BAD for _, value in pairs) else _BAD
            case mi.ListType(item_type):
                return self._list(node, item_type, type.min_length or 0, path)
        return self._scalar(node, type, path)

    def _fields(self, node: yaml.Node, type: mi.StructType, path: str) -> dict[str, Any]:
        """The faultless fields of a struct; an unknown one, or a missing one that is needed, is a fault."""
        fields = {field.name: field for field in type.fields}
        pairs = self._pairs(node, path)
        for key, _ in pairs:
            if key not in fields:
                self.fault(_join(path, key), "Không có mục nào tên như vậy. Các mục: {known}.", known=", ".join(fields))
        if isinstance(node, yaml.MappingNode):
            for name in [name for name, field in fields.items() if field.required and name not in dict(pairs)]:
                self.fault(_join(path, name), "Thiếu mục này.")
        read = {key: self._read(child, fields[key].type, _join(path, key)) for key, child in pairs if key in fields}
        return {key: value for key, value in read.items() if value is not _BAD}

    def _pairs(self, node: yaml.Node, path: str) -> list[tuple[str, yaml.Node]]:
        """The keys of a mapping with their values; what is no mapping, and a key that comes twice, is a fault."""
        if not isinstance(node, yaml.MappingNode):
            self.fault(path, "Phải gồm các mục con, mỗi mục có tên và giá trị.")
            return []
        pairs: dict[str, yaml.Node] = {}
        for key, value in _rejoined(node):
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            if name in pairs:
                self._faults.add(CONTEST, key.start_mark.line + 1, _join(path, name), "Mục này có hai lần.")
                continue
            pairs[name] = value
            self._lines[_join(path, name)] = key.start_mark.line + 1
        return list(pairs.items())

    def _list(self, node: yaml.Node, type: mi.Type, least: int, path: str) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            self.fault(path, "Phải là một danh sách.")
            return _BAD
        if len(node.value) < least:
            self.fault(path, "Để trống.")
        items = []
        for place, child in enumerate(node.value):
            self._lines[f"{path}[{place}]"] = child.start_mark.line + 1
            items.append(self._read(child, type, f"{path}[{place}]"))
        return items

    def _scalar(self, node: yaml.Node, type: mi.Type, path: str) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.fault(path, "Phải là một giá trị, không phải danh sách hay nhóm mục.")
            return _BAD
        text = str(node.value).strip()
        match type:
            case _ if not text:
                self.fault(path, "Để trống.")
            case mi.LiteralType(words):
                if text in words:
                    return text
                self.fault(path, "Phải là một trong: {words}.", words=", ".join(map(str, words)))
            case mi.IntType(ge=int(least), le=int(most)):
                if re.fullmatch("[0-9]{1,9}", text) and least <= int(text) <= most:
                    return int(text)
                self.fault(path, "Phải là số nguyên từ {least} đến {most}.", least=least, most=most)
            case mi.FloatType():
                return self._number(text, path)
            case mi.StrType(pattern=str(pattern), max_length=int(longest)):
                if re.fullmatch(pattern, text) and len(text) <= longest:
                    return text
                self.fault(path, "Chỉ gồm a–z, 0–9 và dấu gạch nối, nhiều nhất {longest} ký tự.", longest=longest)
            case _:
                return text
        return _BAD

    def _number(self, text: str, path: str) -> Any:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        self.fault(path, "Phải là một số.")
        return _BAD


def _rejoined(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping. In `{title: Học tập, làm theo Bác}` YAML ends the title at the comma and takes the rest for a key
    without a value; nobody who writes a title means that."""
    pairs: list[tuple[yaml.Node, yaml.Node]] = []
    for key, value in node.value:
        bare = (
            node.flow_style
            and isinstance(value, yaml.ScalarNode)
            and not value.value
            and value.start_mark.index == value.end_mark.index
        )
        if bare and pairs and isinstance(last := pairs[-1][1], yaml.ScalarNode) and last.style is None:
            whole = yaml.ScalarNode(last.tag, f"{last.value}, {key.value}", last.start_mark, key.end_mark)
            pairs[-1] = (pairs[-1][0], whole)
        else:
            pairs.append((key, value))
    return pairs


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
