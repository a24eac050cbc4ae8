"""Completions for SQL at the prompt: relations, columns, keywords and functions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from lcma.db.relations import Relation

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

# fmt: off
KEYWORDS = (
    "select", "from", "where", "group", "by", "order", "having", "limit", "offset", "join", "left",
    "right", "full", "inner", "outer", "cross", "natural", "on", "using", "as", "and", "or", "not",
    "in", "is", "null", "like", "between", "exists", "case", "when", "then", "else", "end", "cast",
    "distinct", "all", "union", "intersect", "except", "with", "recursive", "values", "asc", "desc",
    "nulls", "first", "last", "filter", "over", "partition", "window", "rows", "range", "preceding",
    "following", "unbounded", "current", "row", "explain", "escape", "lateral", "materialized",
)
"""Keywords that both engines have."""

FUNCTIONS = (
    "abs", "avg", "ceil", "coalesce", "count", "cume_dist", "dense_rank", "first_value", "floor",
    "lag", "last_value", "lead", "length", "lower", "ltrim", "max", "min", "nth_value", "ntile",
    "nullif", "percent_rank", "rank", "replace", "round", "row_number", "rtrim", "sign", "sqrt",
    "substr", "sum", "trim", "upper",
)
"""Functions that both engines have."""

ENDS_A_LIST = frozenset((
    "where", "group", "order", "having", "limit", "offset", "window", "select", "union", "except",
    "intersect",
))
"""Keywords that end a list of relations."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement. `is_open` marks a string, name or comment that is not closed."""

    kind: str
    text: str
    is_open: bool

    @property
    def lower(self) -> str:
        """Return the text in lower case."""
        return self.text.lower()

    @property
    def is_name(self) -> bool:
        """Return whether the token may name a relation, a column or an alias."""
        return self.kind == "quoted" or (self.kind == "word" and self.lower not in KEYWORDS)

    @property
    def name(self) -> str:
        """Return the name without its quotes, in lower case."""
        return self.text.strip('"').lower()


@dataclass(frozen=True, slots=True)
class Names:
    """The names in a statement, in lower case."""

    relations: Mapping[str, str]
    """Names of relations by alias; by the name itself for a relation that has no alias."""
    defined: tuple[str, ...]
    """Names that WITH defines."""
    expected: bool
    """Whether a relation comes next."""


def tokenize(text: str) -> list[Token]:
    """Split a text into tokens, white space among them, so that they join to the text again."""
    tokens = []
    for match in TOKEN.finditer(text):
        groups = match.groupdict()
        kind = next(kind for kind, value in groups.items() if value is not None)
        is_open = any(groups[name] is not None for name in groups if name.startswith("open_"))
        tokens.append(Token(kind, match[0], is_open))
    return tokens


def is_command(text: str) -> bool:
    """Return whether a text is a command to the prompt, and no SQL."""
    return text.lstrip().startswith((".", "\\")) or text.strip().lower() in ("quit", "exit")


def is_finished(text: str) -> bool:
    """Return whether Enter runs a text: a command, SQL that ends in ; or an empty line, or none."""
    if not text.strip() or is_command(text) or not text.rpartition("\n")[2].strip():
        return True
    real = [token for token in tokenize(text) if token.kind not in ("space", "comment")]
    return bool(real) and real[-1].text == ";"


def statement_around(before: str, behind: str) -> tuple[list[Token], list[Token]]:
    """Return the tokens of the statement at the cursor: those before the cursor, and all."""
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
    """Return the names in the tokens of one statement."""
    real = [token for token in parts if token.kind not in ("space", "comment")]
    relations: dict[str, str] = {}
    in_list = [False]  # by depth of brackets: whether a comma goes on with a list of relations
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
            while _text_at(real, index) == "." and index + 1 < len(real):
                name = alias = real[index + 1].name
                index += 2
            index += _text_at(real, index) == "as"
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
    return Names(relations, tuple(_find_defined(real)), expected)


def _text_at(real: Sequence[Token], index: int) -> str:
    return real[index].lower if index < len(real) else ""


def _find_defined(real: Sequence[Token]) -> Iterator[str]:
    # A name, perhaps a list of columns in brackets, and AS (.
    for index, token in enumerate(real):
        if token.lower != "as" or _text_at(real, index + 1) != "(":
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
    """A completion: the text, its meaning, and whether it is a word of SQL."""

    text: str
    meaning: str
    is_word: bool = False


WORDS = [
    *(Offer(word, "", is_word=True) for word in KEYWORDS),
    *(Offer(word, "function", is_word=True) for word in FUNCTIONS),
]


class SqlCompleter(Completer):
    """A completer of SQL that knows the schema.

    It offers relations after FROM and JOIN, and columns after the name or alias of a relation and a
    dot. Elsewhere it offers the columns of the relations that the statement names, or of all while
    it names none, then their aliases, keywords and functions. The user may type the beginning of a
    name or of one of its words, in any case.
    """

    def __init__(self, relations: Sequence[Relation]) -> None:
        self._relations = {relation.name: relation for relation in relations}

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterator[Completion]:
        """Yield the completions at the cursor."""
        before = document.text_before_cursor
        if is_command(before):
            yield from self._complete_command(before)
            return
        left, word = _split_word(before)
        parts, whole = statement_around(left, word + document.text_after_cursor)
        if parts and parts[-1].is_open:
            return
        qualifier = QUALIFIED.search(left)
        expected = find_names(parts).expected
        if not (word or qualifier or expected or complete_event.completion_requested):
            return
        names = find_names(whole)
        relations = [
            *(Offer(name, "defined by WITH") for name in names.defined),
            *self._offer_relations(),
        ]
        if qualifier:
            groups = [self._offer_columns_of(names, qualifier["name"].strip('"').lower())]
        elif expected:
            groups = [relations, WORDS]
        else:
            aliases = [Offer(alias, name) for alias, name in names.relations.items()]
            groups = [self._offer_columns(names), aliases, WORDS, relations]
        yield from _match_offers(word, groups)

    def _complete_command(self, before: str) -> Iterator[Completion]:
        command, space, typed = before.lstrip().partition(" ")
        if not space:
            yield from (
                Completion(name, -len(command), display_meta=meaning)
                for name, meaning in COMMANDS.items()
                if name.startswith(command.lower())
            )
        elif command.lower() == ".schema":
            yield from _match_offers(typed.lstrip(), [self._offer_relations()])

    def _offer_relations(self) -> list[Offer]:
        return [Offer(name, relation.meaning) for name, relation in self._relations.items()]

    def _offer_columns_of(self, names: Names, qualifier: str) -> list[Offer]:
        relation = self._relations.get(names.relations.get(qualifier, qualifier))
        return [] if relation is None else [Offer(c.name, c.meaning) for c in relation.columns]

    def _offer_columns(self, names: Names) -> list[Offer]:
        named = [self._relations[n] for n in names.relations.values() if n in self._relations]
        return [
            Offer(column.name, column.meaning if named else f"{relation.name}: {column.meaning}")
            for relation in named or self._relations.values()
            for column in relation.columns
        ]


def _split_word(before: str) -> tuple[str, str]:
    """Return the text before the word at the cursor, and the word as far as it is typed."""
    start = len(before)
    while start and (before[start - 1].isalnum() or before[start - 1] in "_$"):
        start -= 1
    return before[:start], before[start:]


def _match_offers(word: str, groups: Sequence[Sequence[Offer]]) -> Iterator[Completion]:
    """Yield the offers that a word may begin, group by group, those that start with it first."""
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
