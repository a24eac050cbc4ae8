"""What the prompt offers while SQL is typed: relations, columns and words, with their meaning."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from lcma.db.relations import Relation
from lcma.harness.prompt import statement

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
    *(Offer(word, "", is_word=True) for word in statement.KEYWORDS),
    *(Offer(word, "function", is_word=True) for word in statement.FUNCTIONS),
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
        if statement.is_command(before):
            yield from self._commands(before)
            return
        left, word = _split(before)
        parts, whole = statement.around(left, word + document.text_after_cursor)
        if parts and parts[-1].is_open:
            return
        qualifier = QUALIFIED.search(left)
        expected = statement.names(parts).expected
        if not (word or qualifier or expected or complete_event.completion_requested):
            return
        names = statement.names(whole)
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

    def _columns_of(self, names: statement.Names, qualifier: str) -> list[Offer]:
        relation = self._relations.get(names.relations.get(qualifier, qualifier))
        return [] if relation is None else [Offer(c.name, c.meaning) for c in relation.columns]

    def _columns(self, names: statement.Names) -> list[Offer]:
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
            quoted = shown if is_word or text not in statement.KEYWORDS else f'"{text}"'
            yield Completion(quoted, -len(word), display=shown, display_meta=meaning)
