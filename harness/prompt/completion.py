"""What the prompt offers while SQL is typed: relations, columns and words, with their meaning."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from lcma.db.relations import Relation

# SQL while it is being typed: its tokens, the relations it names, and whether it is finished

TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]*(?:\n|(?P<open_line>\Z)) | /\*.*?(?:\*/|(?P<open_block>\Z)) )
  | (?P<string> '(?:[^']|'')*(?:'|(?P<open_string>\Z)) )
  | (?P<quoted> "(?:[^"]|"")*(?:"|(?P<open_name>\Z)) )
  | (?P<word> [^\W\d][\w$]* )
  | (?P<number> \.?\d[\w.]* )
  | (?P<space> \s+ )
  | (?P<sign> . )
    """,
    re.X | re.S,
)

KEYWORDS = (
    *("select", "from", "where", "group", "by", "order", "having", "limit", "offset", "join"),
    *("left", "right", "full", "inner", "outer", "cross", "natural", "on", "using", "as", "and"),
    *("or", "not", "in", "is", "null", "like", "between", "exists", "case", "when", "then"),
    *("else", "end", "cast", "distinct", "all", "union", "intersect", "except", "with"),
    *("recursive", "values", "asc", "desc", "nulls", "first", "last", "filter", "over"),
    *("partition", "window", "rows", "range", "preceding", "following", "unbounded", "current"),
    *("row", "explain", "escape", "lateral", "materialized"),
)
"""Words of the language that are read alike on both engines."""

FUNCTIONS = (
    *("abs", "avg", "ceil", "coalesce", "count", "cume_dist", "dense_rank", "first_value"),
    *("floor", "lag", "last_value", "lead", "length", "lower", "ltrim", "max", "min"),
    *("nth_value", "ntile", "nullif", "percent_rank", "rank", "replace", "round", "row_number"),
    *("rtrim", "sign", "sqrt", "substr", "sum", "trim", "upper"),
)
"""Functions that both engines have."""

ENDS_A_LIST = frozenset(
    {
        *("where", "group", "order", "having", "limit", "offset", "window", "select"),
        *("union", "except", "intersect"),
    }
)
"""What no relation follows any more, until the next FROM or JOIN."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement; `is_open` where it is a string, a quoted name or a comment that goes
    on behind the end."""

    kind: str
    text: str
    is_open: bool

    @property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_name(self) -> bool:
        """Whether it may name a relation, a column or an alias."""
        return self.kind == "quoted" or (self.kind == "word" and self.lower not in KEYWORDS)

    @property
    def name(self) -> str:
        return self.text.strip('"').lower()


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a statement, in lower case.

    `relations` has each relation, as it stands there, by its alias (its own name where it has
    none); `defined` what WITH defines; `expected` says whether a relation comes next.
    """

    relations: Mapping[str, str]
    defined: tuple[str, ...]
    expected: bool


def tokenize(text: str) -> list[Token]:
    """All of the text in order, white space too."""
    found = []
    for match in TOKEN.finditer(text):
        groups = match.groupdict()
        kind = next(kind for kind, value in groups.items() if value is not None)
        is_open = any(groups[name] is not None for name in groups if name.startswith("open_"))
        found.append(Token(kind, match[0], is_open))
    return found


def is_command(text: str) -> bool:
    """Whether it speaks to the prompt, and not to the database."""
    return text.lstrip().startswith((".", "\\")) or text.strip().lower() in ("quit", "exit")


def is_finished(text: str) -> bool:
    """Whether Enter runs it: a command, nothing at all, a statement behind whose end is a `;`, or
    one that an empty line follows."""
    if not text.strip() or is_command(text) or not text.rpartition("\n")[2].strip():
        return True
    real = [token for token in tokenize(text) if token.kind not in ("space", "comment")]
    return bool(real) and real[-1].text == ";"


def statement_around(before: str, behind: str) -> tuple[list[Token], list[Token]]:
    """The statement that the cursor is in: its tokens up to the cursor, and all of them."""
    start = 0
    position = 0
    for token in tokenize(before):
        position += len(token.text)
        if token.text == ";":
            start = position
    first = before[start:]
    whole: list[Token] = []
    position = 0
    for token in tokenize(first + behind):
        if token.text == ";" and position >= len(first):
            break
        position += len(token.text)
        whole.append(token)
    return tokenize(first), whole


def find_names(parts: Sequence[Token]) -> Names:
    """What the tokens of one statement name."""
    real = [token for token in parts if token.kind not in ("space", "comment")]
    relations: dict[str, str] = {}
    in_list = [False]  # whether a comma goes on with a list of relations, by depth of brackets
    expected = False
    index = 0
    while index < len(real):
        token = real[index]
        index += 1
        if token.lower in ("from", "join"):
            expected = in_list[-1] = True
        elif token.lower == "lateral":
            continue
        elif expected and token.is_name:
            name = alias = token.name
            while _texts(real, index) == "." and index + 1 < len(real):
                name = alias = real[index + 1].name
                index += 2
            index += _texts(real, index) == "as"
            if index < len(real) and real[index].is_name:
                alias = real[index].name
                index += 1
            relations[alias] = name
            expected = False
        elif token.text == "(":
            expected = False
            in_list.append(False)
        elif token.text == ")":
            expected = False
            if len(in_list) > 1:
                in_list.pop()
        elif token.text == ",":
            expected = in_list[-1]
        else:
            expected = False
            if token.lower in ENDS_A_LIST:
                in_list[-1] = False
    return Names(relations, tuple(_defined(real)), expected)


def _texts(real: Sequence[Token], index: int) -> str:
    return real[index].lower if index < len(real) else ""


def _defined(real: Sequence[Token]) -> Iterator[str]:
    """The names before AS (, with a list of columns between or without."""
    for index, token in enumerate(real):
        if token.lower != "as" or _texts(real, index + 1) != "(":
            continue
        before = index - 1
        if before >= 0 and real[before].text == ")":
            while before >= 0 and real[before].text != "(":
                before -= 1
            before -= 1
        if before >= 0 and real[before].is_name:
            yield real[before].name


QUALIFIED = re.compile(r"""(?P<name>[\w$]+|"[^"]+")\s*\.\s*\Z""")

COMMANDS: dict[str, str] = {
    ".help": "what can be typed here",
    ".quit": "end",
    ".schema": "views and tables, or the columns of one",
}


class Offer(NamedTuple):
    """What is inserted, what is said beside it, and whether it is a word of the language."""

    text: str
    meaning: str
    is_word: bool = False


WORDS = [
    *(Offer(word, "", is_word=True) for word in KEYWORDS),
    *(Offer(word, "function", is_word=True) for word in FUNCTIONS),
]


class SqlCompleter(Completer):
    """Completes from the schema.

    Behind FROM and JOIN: relations, then the rest. Behind a relation or its alias and a dot: its
    columns. Elsewhere: the columns of the relations that the statement names, of all where it
    names none yet; then their aliases, keywords and functions. What is typed may be the beginning
    of a name or of one of its words, in any case.
    """

    def __init__(self, relations: Sequence[Relation]) -> None:
        self._relations = {relation.name: relation for relation in relations}

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        before = document.text_before_cursor
        if is_command(before):
            yield from self._commands(before)
            return
        left, word = _split(before)
        parts, whole = statement_around(left, word + document.text_after_cursor)
        if parts and parts[-1].is_open:
            return
        qualifier = QUALIFIED.search(left)
        expected = find_names(parts).expected
        if not (word or qualifier or expected or complete_event.completion_requested):
            return
        names = find_names(whole)
        relations = [*(Offer(name, "defined by WITH") for name in names.defined), *self._named()]
        if qualifier:
            groups = [self._columns_of(names, qualifier["name"].strip('"').lower())]
        elif expected:
            groups = [relations, WORDS]
        else:
            aliases = [Offer(alias, name) for alias, name in names.relations.items()]
            groups = [self._columns(names), aliases, WORDS, relations]
        yield from _matching(word, groups)

    def _commands(self, before: str) -> Iterator[Completion]:
        command, space, typed = before.lstrip().partition(" ")
        if not space:
            yield from (
                Completion(name, -len(command), display_meta=meaning)
                for name, meaning in COMMANDS.items()
                if name.startswith(command.lower())
            )
        elif command.lower() == ".schema":
            yield from _matching(typed.lstrip(), [self._named()])

    def _named(self) -> list[Offer]:
        return [Offer(name, relation.meaning) for name, relation in self._relations.items()]

    def _columns_of(self, names: Names, qualifier: str) -> list[Offer]:
        relation = self._relations.get(names.relations.get(qualifier, qualifier))
        return [] if relation is None else [Offer(c.name, c.meaning) for c in relation.columns]

    def _columns(self, names: Names) -> list[Offer]:
        named = [self._relations[n] for n in names.relations.values() if n in self._relations]
        return [
            Offer(column.name, column.meaning if named else f"{relation.name}: {column.meaning}")
            for relation in named or self._relations.values()
            for column in relation.columns
        ]


def _split(before: str) -> tuple[str, str]:
    """What is before the word at the cursor, and the word as far as it is typed."""
    start = len(before)
    while start and (before[start - 1].isalnum() or before[start - 1] in "_$"):
        start -= 1
    return before[:start], before[start:]


def _matching(word: str, groups: Sequence[Sequence[Offer]]) -> Iterator[Completion]:
    """The offers that the word may begin, group by group; first those of which it is the start."""
    typed, upper = word.lower(), word.isupper()
    seen = {typed}
    for group in groups:
        starting = [offer for offer in group if offer.text.startswith(typed)]
        inside = [offer for offer in group if f"_{typed}" in offer.text]
        for text, meaning, is_word in starting + inside:
            if text in seen:
                continue
            seen.add(text)
            shown = text.upper() if is_word and upper else text
            # A column of the maps has the name `values`, which is a word of the language too.
            quoted = shown if is_word or text not in KEYWORDS else f'"{text}"'
            yield Completion(quoted, -len(word), display=shown, display_meta=meaning)
