"""From a method, a path and a query to an operation of the service model.

A trie of path segments, made once at start; a match costs one dictionary look-up per segment.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, unquote_plus

from lampyr.api.spec import Operation

SEGMENTS_MAX: Final = 64
"""No path of Lambda has more than nine; a longer one is no operation."""

Query = Mapping[str, list[str]]
"""Parameters of a query in the order they came, each with all its values."""

Match = tuple[Operation, dict[str, str]]
"""The operation, and what stood in the place of each label. A bare tuple: made on the warm path."""


@dataclass(frozen=True, slots=True)
class Route:
    operation: Operation
    labels: tuple[str, ...]
    """Names of the labels, in the order of the path."""
    query: frozenset[tuple[str, str]]
    """Parameters that the request must have."""


@dataclass(slots=True)
class _Node:
    literals: dict[str, "_Node"] = field(default_factory=dict)
    label: "_Node | None" = None
    greedy: "_Node | None" = None
    """A label that takes one segment or more."""
    routes: dict[str, list[Route]] = field(default_factory=dict)
    """By method; those that ask for more of the query come first."""


class Router:
    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def match(self, method: str, path: str, query: Query) -> Match | None:
        """The operation for a path as sent (percent-encoded, decoded here, once).

        A slash at the end changes nothing: older SDKs send one.
        """
        segments = path.split("/")
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        node = self._root
        taken: list[str] = []
        for segment in segments[1:]:
            found = node.literals.get(segment)
            if found is None:
                found = node.label if segment else None
                if found is None:
                    return self._match_any(method, segments, query)
                taken.append(segment)
            node = found
        for route in node.routes.get(method, ()):
            if not route.query or _has(query, route.query):
                return _matched(route, taken)
        return self._match_any(method, segments, query)

    def methods(self, path: str) -> tuple[str, ...]:
        """Methods that some operation with this path has."""
        segments = path.removesuffix("/").split("/")
        if len(segments) > SEGMENTS_MAX:
            return ()
        return tuple(sorted({m for node, _ in _ends(self._root, segments, 1) for m in node.routes}))

    def _match_any(self, method: str, segments: list[str], query: Query) -> Match | None:
        """The same with every way through the trie, where the straight one led nowhere."""
        if len(segments) > SEGMENTS_MAX:
            return None
        for node, taken in _ends(self._root, segments, 1):
            for route in node.routes.get(method, ()):
                if _has(query, route.query):
                    return _matched(route, taken)
        return None

    def _add(self, operation: Operation) -> None:
        node = self._root
        labels = []
        for segment in operation.path.removesuffix("/").split("/")[1:]:
            if not segment.startswith("{"):
                node = node.literals.setdefault(segment, _Node())
                continue
            name = segment.strip("{}")
            labels.append(name.removesuffix("+"))
            if name.endswith("+"):
                node.greedy = node = node.greedy or _Node()
            else:
                node.label = node = node.label or _Node()
        query = frozenset(parse_qsl(operation.query, keep_blank_values=True))
        routes = node.routes.setdefault(operation.method, [])
        routes.append(Route(operation, tuple(labels), query))
        routes.sort(key=lambda route: -len(route.query))


def parse_query(text: str) -> dict[str, list[str]]:
    """Decode a query; bytes that are no UTF-8 become U+FFFD, which no name or pattern allows."""
    found: dict[str, list[str]] = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found


def _ends(node: _Node, segments: list[str], at: int) -> Iterable[tuple[_Node, list[str]]]:
    """Nodes where the path can end, with what the labels took on the way; literals first."""
    if at == len(segments):
        yield node, []
        return
    segment = segments[at]
    if (found := node.literals.get(segment)) is not None:
        yield from _ends(found, segments, at + 1)
    if node.label is not None and segment:
        for end, taken in _ends(node.label, segments, at + 1):
            yield end, [segment, *taken]
    if node.greedy is not None:
        for upto in range(at + 1, len(segments) + 1):
            for end, taken in _ends(node.greedy, segments, upto):
                yield end, ["/".join(segments[at:upto]), *taken]


def _has(query: Query, wanted: frozenset[tuple[str, str]]) -> bool:
    return all(value in query.get(name, ()) for name, value in wanted)


def _matched(route: Route, taken: list[str]) -> Match:
    labels = {}
    for name, value in zip(route.labels, taken, strict=True):
        labels[name] = unquote(value) if "%" in value else value
    return route.operation, labels
