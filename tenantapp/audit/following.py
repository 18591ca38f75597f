"""Follow the entries of one chain, and say which were altered, removed, inserted or put elsewhere.

Each entry has the hash of the entry that it was sealed behind. So the chain can be followed past a wrong entry, and an
entry is blamed once. Memory is bounded: only the last ``WINDOW`` entries and ``MOST_TOLD`` findings are known.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, Literal

from tenantapp.audit.canonical import digests_of, hash_of

WINDOW: Final = 1000
MOST_TOLD: Final = 1000
Kind = Literal["altered", "removed", "inserted", "reordered", "signature", "erased", "unsealed"]


@dataclass(slots=True)
class Finding:
    """Something that is wrong with a chain. ``entry`` is the id of the entry concerned, if there is one."""

    kind: Kind
    chain: str
    text: str
    position: int | None = None
    entry: str | None = None


@dataclass(slots=True)
class _Seen:
    position: int
    entry: str
    previous: str
    finding: Finding | None = None


class Follower:
    """Follows a chain from behind the entry at ``position``, whose hash is ``tip``. Hashes are hexadecimal digits."""

    def __init__(self, chain: str, position: int, tip: str) -> None:
        self.chain, self.position, self.tip = chain, position, tip
        self.findings: list[Finding] = []
        self._last = position
        self.untold = 0
        """How many findings there are beyond ``MOST_TOLD``."""
        self._seen: OrderedDict[str, _Seen] = OrderedDict({tip: _Seen(position, "", "")})
        self._gaps: OrderedDict[str, Finding] = OrderedDict()  # by the hash of the entry that is missing

    def add(self, line: dict[str, Any]) -> None:
        """Follow an entry."""
        seen = _Seen(line["position"], line["entry"]["id"], line["previous"])
        if not _is_own(line):
            seen.finding = self._find("altered", seen, "is not what was sealed")
        self._link(seen, line["hash"])
        self._last = seen.position
        self._seen[line["hash"]] = seen
        if len(self._seen) > WINDOW:
            self._seen.popitem(last=False)

    def finish(self, position: int, head: str) -> None:
        """Say what is wrong with the end of the chain, which was signed after the entry at ``position``."""
        if self.tip == head:
            return
        if head in self._seen:
            self._blame_since(head, "was sealed after the end of the chain")
        elif self.position >= position:
            text = f"The last entry, at position {self.position}, is not the one that was signed."
            self._tell(Finding("altered", self.chain, text, self.position, self._last_entry()))
        else:
            there = f"after position {self.position}" if self.position else "of all"
            self._tell(
                Finding("removed", self.chain, f"The last entries are missing, {there} up to position {position}.")
            )

    def _link(self, seen: _Seen, own: str) -> None:
        if seen.previous == self.tip:
            # The line before may be one that stands in another place.
            is_next = seen.position in (self.position + 1, self._last + 1)
            if not is_next and seen.finding is None:
                seen.finding = self._find("altered", seen, f"was sealed at position {self.position + 1}")
            self.tip, self.position = own, seen.position if is_next else self.position + 1
        elif (gap := self._gaps.pop(own, None)) is not None:
            gap.kind, gap.position, gap.entry = "reordered", seen.position, seen.entry
            gap.text = f"The entry {seen.entry} stands at position {seen.position}, and was sealed earlier."
            seen.finding = gap
        elif seen.previous in self._seen:
            self._return_to(seen, own)
        else:
            self._gap(seen)
            self.tip, self.position = own, seen.position

    def _return_to(self, seen: _Seen, own: str) -> None:
        """Follow an entry that was sealed behind one that is not the last: what stands between does not belong there.

        Unless that one was blamed before, and has its place just here.
        """
        before = self._seen[seen.previous]
        if before.finding is not None and before.previous == self.tip and before.finding.kind == "inserted":
            before.finding.kind = "reordered"
            before.finding.text = (
                f"The entry {before.entry} stands at position {before.position}, and was sealed later."
            )
        else:
            self._blame_since(seen.previous, "was not sealed there")
        self.tip, self.position = own, seen.position

    def _blame_since(self, hash: str, why: str) -> None:
        hashes = list(self._seen)
        for each in hashes[hashes.index(hash) + 1 :]:
            intruder = self._seen[each]
            if intruder.finding is None:
                intruder.finding = self._find("inserted", intruder, why)
            elif self._gaps.get(intruder.previous) is intruder.finding:
                # Something only seemed to be missing before it: the intruder follows nothing.
                del self._gaps[intruder.previous]
                intruder.finding.kind, intruder.finding.entry = "inserted", intruder.entry
                intruder.finding.position = intruder.position
                intruder.finding.text = f"The entry {intruder.entry} at position {intruder.position} {why}."

    def _gap(self, seen: _Seen) -> None:
        first, last = self.position + 1, seen.position - 1
        if first > last:
            text = (
                f"The entry {seen.entry} at position {seen.position} was sealed behind another one than that before "
                "it, which was put in the place of the other one."
            )
            finding = Finding("altered", self.chain, text, self.position, self._last_entry())
        else:
            where = f"at position {first}" if first == last else f"at the positions {first} to {last}"
            text = f"What was sealed {where} is missing, before the entry {seen.entry}."
            finding = Finding("removed", self.chain, text, first)
        self._tell(finding)
        seen.finding = seen.finding or finding
        self._gaps[seen.previous] = finding
        if len(self._gaps) > WINDOW:
            self._gaps.popitem(last=False)

    def _last_entry(self) -> str | None:
        last = self._seen.get(self.tip)
        return last.entry or None if last else None

    def _find(self, kind: Kind, seen: _Seen, what: str) -> Finding:
        text = f"The entry {seen.entry} at position {seen.position} {what}."
        return self._tell(Finding(kind, self.chain, text, seen.position, seen.entry))

    def _tell(self, finding: Finding) -> Finding:
        if len(self.findings) < MOST_TOLD:
            self.findings.append(finding)
        else:
            self.untold += 1
        return finding


def _is_own(line: dict[str, Any]) -> bool:
    """Return whether the hash of an entry is that of its content behind the entry that it names."""
    try:
        salt = None if line["salt"] is None else bytes.fromhex(line["salt"])
        digests = digests_of(line["entry"], salt, line["erased"])
        own: str = line["hash"]
        return hash_of(bytes.fromhex(line["previous"]), line["entry"], digests).hex() == own
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
