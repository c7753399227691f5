"""Prove that matching an expression takes time in proportion to the text, or give a text that it does not.

A backtracking matcher tries every walk through the automaton that a text allows, until one of them fits. So
what counts is how the number of walks grows with the text (Weber and Seidl, "On the degree of ambiguity of
finite automata"):

- two ways from a state back to itself on one word: it doubles with every copy of the word (exponential);
- a word that leads from a state p to p, from p to q and from q to q: it grows with the number of copies for
  every such pair in a chain (quadratic and worse). A search begins everywhere: its start is such a p.

Either only costs anything where the rest of the text can fail to match.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from tests.unit.expressions.automaton import BEGIN, END, Automaton, holds, read

START = -1
Node = TypeVar("Node", bound=Hashable)
State = tuple[int, str]  # a position, and the kind of character that was read there
Triple = tuple[State, State, State]


def _found(position: int) -> int:
    """A position in a match that will succeed, and back."""
    return -2 - position


@dataclass(frozen=True)
class Finding:
    """A text on which matching takes more than its length: a prefix, what is repeated, and an end."""

    growth: str
    prefix: str
    pump: str
    suffix: str

    def text(self, copies: int) -> str:
        """The text with so many copies."""
        return self.prefix + self.pump * copies + self.suffix


def find(pattern: str | bytes, flags: int, method: str) -> Finding | None:
    """What makes an expression super-linear under a method of ``re.Pattern``; None for nothing."""
    searches = method not in {"match", "fullmatch"}
    return _Walks(read(pattern, flags), searches=searches, whole=method == "fullmatch").finding()


class _Walks:
    def __init__(self, automaton: Automaton, *, searches: bool, whole: bool) -> None:
        self._automaton = automaton
        self._searches = searches
        self._whole = whole
        self._atoms = list(automaton.atoms)
        self._members = [[atom for atom in self._atoms if atom in members] for members in automaton.sets]
        self.steps = cache(self._steps)
        self.reads = cache(self._reads)
        self.begun = cache(self._begins)
        self._can_fail = cache(self._fails)

    def finding(self) -> Finding | None:
        reach = self._reachable()
        self._component = _components(reach, lambda state: [to for _, to, _ in self.steps(state)])
        self._reaching = self._reachable_components()
        loops: dict[int, list[State]] = {}
        for state in reach:
            if any(self._component[to] == self._component[state] for _, to, _ in self.steps(state)):
                loops.setdefault(self._component[state], []).append(state)
        attempts = [
            states for states in loops.values() if states[0][0] >= 0 and self._suffix(states[0]) is not None
        ]
        for states in attempts:
            twice = self._twice(states)
            if twice is not None:
                return self._found("exponential", twice, self._two_ways(twice), twice)
        for home, states in loops.items():
            for goals in attempts:
                # Two chains in one component are two ways, which were looked for above.
                goal = self._component[goals[0]]
                chain = (
                    self._chained(states, goals) if home != goal and goal in self._reaching[home] else None
                )
                if chain is not None:
                    return self._found("polynomial", chain[0], self._chain(*chain), chain[1])
        return None

    def _found(self, growth: str, state: State, pump: str, end: State) -> Finding:
        suffix = self._suffix(end)
        return Finding(growth, self._reachable()[state], pump, suffix if suffix is not None else "")

    # --- the walks --------------------------------------------------------------------------------------

    def _edges(self, position: int) -> Iterator[tuple[int, frozenset[object], int]]:
        if position == START:
            for to, guard in self._automaton.whole.first:
                yield to, guard, 1
        else:
            for (to, guard), number in self._automaton.follow[position].items():
                yield to, guard, number

    def _steps(self, state: State) -> list[tuple[str, State, int]]:
        """What can be read next: a character, where it leads, and in how many ways."""
        position, before = state
        found = Counter[tuple[str, State]]()
        if position >= 0:
            found.update({(atom, to): number for atom, to, number in self._inside(position, before)})
            return [(atom, to, number) for (atom, to), number in found.items()]
        if position < START:  # in a match that will succeed: what it reads is read once
            found.update(
                {(atom, (_found(to[0]), atom)): 1 for atom, to, _ in self._inside(_found(position), before)}
            )
        for atom in self._atoms:
            if position == START or self._accepts((_found(position), before), atom):
                for to, number in self.begun(before, atom).items():
                    found[atom, (to, atom)] += number
                if self._searches:
                    for to in self._passed(before, atom):
                        found[atom, (to, atom)] = 1
        return [(atom, to, number) for (atom, to), number in found.items()]

    def _inside(self, position: int, before: str) -> Iterator[tuple[str, State, int]]:
        for to, guard, number in self._edges(position):
            for atom in self._members[to]:
                if not guard or holds(guard, before, atom):
                    yield atom, (to, atom), number

    def _begins(self, before: str, atom: str) -> Counter[int]:
        """The positions at which an attempt to match stands after its first character."""
        found = Counter[int]()
        for char, to, number in self._inside(START, before):
            if char == atom:
                found[to[0]] += number
        return found

    def _passed(self, before: str, atom: str) -> list[int]:
        """Where the search stands that has a character behind it.

        It goes on with the next one if no match begins here, and behind the match if one does. Where all that
        follows is a match, it can only be the latter.
        """
        begun = frozenset((to, atom) for to in self.begun(before, atom))
        skips = [START] if not begun or self._can_fail(begun, 1) is not None else []
        return skips + [_found(to) for to, _ in begun]

    @cache  # noqa: B019 - of few short-lived objects
    def _reachable(self) -> dict[State, str]:
        """Every state, and a shortest text that leads there."""
        found = {(START, BEGIN): ""}
        waiting = deque(found)
        while waiting:
            state = waiting.popleft()
            for atom, to, _ in self.steps(state):
                if to not in found:
                    found[to] = found[state] + atom
                    waiting.append(to)
        return found

    def _accepts(self, state: State, after: str) -> bool:
        """Whether the expression can be through, and ``after`` comes next."""
        if self._whole and after != END:
            return False
        ends = self._automaton.whole.last
        return any(position == state[0] and holds(guard, state[1], after) for position, guard in ends)

    def _suffix(self, state: State) -> str | None:
        return self._can_fail(frozenset({state}), 0)

    def _fails(self, begin: frozenset[State], least: int) -> str | None:
        """A text, so long at least, with which no walk from these states fits; None where one always does."""
        seen = {begin: ""}
        waiting = deque([begin])
        while waiting:
            states = waiting.popleft()
            if len(seen[states]) >= least and not any(self._accepts(each, END) for each in states):
                return seen[states]
            for atom in self._atoms:
                if any(self._accepts(each, atom) for each in states):
                    continue
                following = frozenset(to for each in states for to in self.reads(each).get(atom, ()))
                if following not in seen:
                    seen[following] = seen[states] + atom
                    waiting.append(following)
        return None

    # Whether there is such a word is asked of all states of a component at once: in a graph of pairs or
    # triples of states, and an edge back from the wanted end to its beginning, the two lie in one
    # component (Allauzen, Mohri and Rastogi, "General algorithms for testing the ambiguity of finite
    # automata").

    def _twice(self, states: list[State]) -> State | None:
        """A state that a word leads back to in two ways."""
        home = self._component[states[0]]

        def following(pair: tuple[State, State]) -> list[tuple[State, State]]:
            return [
                (to, further)
                for atom, ends in self.reads(pair[0]).items()
                for to in ends
                if self._component[to] == home
                for further in self.reads(pair[1]).get(atom, ())
                if self._component[further] == home
            ]

        component = _components([(state, state) for state in states], following)
        parted = {number for (one, other), number in component.items() if one != other}
        for state in states:
            if component[state, state] in parted:
                return state
            for _, to, number in self.steps(state):
                if number > 1 and self._component[to] == home:
                    return state
        return None

    def _two_ways(self, state: State) -> str:
        """A word that leads from a state back to it in two ways."""

        def following(at: tuple[State, State, bool]) -> Iterator[tuple[str, tuple[State, State, bool]]]:
            one, other, parted = at
            for atom, to, number in self.steps(one):
                for further in self.reads(other).get(atom, ()):
                    yield atom, (to, further, parted or to != further or number > 1)

        return _word((state, state, False), (state, state, True), following)

    def _triples(self, home: int, goal: int) -> Callable[[Triple], Iterator[tuple[str, Triple]]]:
        def following(at: Triple) -> Iterator[tuple[str, Triple]]:
            first, middle, last = at
            for atom, lasts in self.reads(last).items():
                ends = [to for to in lasts if self._component[to] == goal]
                begins = [to for to in self.reads(first).get(atom, ()) if self._component[to] == home]
                for to_middle in self.reads(middle).get(atom, ()) if begins and ends else ():
                    if goal in self._reaching[self._component[to_middle]]:
                        for to_first in begins:
                            for to_last in ends:
                                yield atom, (to_first, to_middle, to_last)

        return following

    def _chained(self, states: list[State], goals: list[State]) -> tuple[State, State] | None:
        """Two states such that a word leads from the first to both, and from the second to itself."""
        following = self._triples(self._component[states[0]], self._component[goals[0]])

        def with_edges_back(at: Triple) -> list[Triple]:
            further = [to for _, to in following(at)]
            return [*further, (at[0], at[0], at[2])] if at[1] == at[2] else further

        pairs = [(one, other) for one in states for other in goals if one[1] == other[1]]
        component = _components([(one, one, other) for one, other in pairs], with_edges_back)
        for one, other in pairs:
            if component.get((one, other, other), -1) == component[one, one, other]:
                return one, other
        return None

    def _chain(self, one: State, other: State) -> str:
        """A word that leads from one state to itself, from it to the other, and from the other to itself."""
        following = self._triples(self._component[one], self._component[other])
        return _word((one, one, other), (one, other, other), following)

    def _reachable_components(self) -> dict[int, set[int]]:
        """Every component, and those that can be reached from it."""
        direct: dict[int, set[int]] = {number: {number} for number in self._component.values()}
        for state, number in self._component.items():
            direct[number].update(self._component[to] for _, to, _ in self.steps(state))
        changed = True
        while changed:
            changed = False
            for reached in direct.values():
                more = set().union(*(direct[each] for each in reached))
                if not more <= reached:
                    reached.update(more)
                    changed = True
        return direct

    def _reads(self, state: State) -> dict[str, list[State]]:
        """Where each character leads."""
        found: dict[str, list[State]] = {}
        for atom, to, _ in self.steps(state):
            found.setdefault(atom, []).append(to)
        return found


def _word(begin: Node, end: Node, following: Callable[[Node], Iterable[tuple[str, Node]]]) -> str:
    """The shortest word, of one character at least, that leads from a node of a graph to another one."""
    seen = {begin: ""}
    waiting = deque([begin])
    while waiting:
        at = waiting.popleft()
        for atom, to in following(at):
            if to == end:
                return seen[at] + atom
            if to not in seen:
                seen[to] = seen[at] + atom
                waiting.append(to)
    raise LookupError("there is no such word")


def _components(nodes: Iterable[Node], following: Callable[[Node], list[Node]]) -> dict[Node, int]:
    """The strongly connected component of every node that can be reached (Tarjan's algorithm)."""
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    found: dict[Node, int] = {}
    stack: list[Node] = []
    for root in nodes:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        stack.append(root)
        work = [(root, iter(following(root)))]
        while work:
            node, rest = work[-1]
            for to in rest:
                if to not in number:
                    number[to] = low[to] = len(number)
                    stack.append(to)
                    work.append((to, iter(following(to))))
                    break
                if to not in found:
                    low[node] = min(low[node], number[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    member = None
                    while member != node:
                        member = stack.pop()
                        found[member] = number[node]
    return found
