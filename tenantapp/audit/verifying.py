"""Verify the audit trail, from the database or from an exported file, in bounded memory."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from tenantapp.audit.beginnings import BEGIN
from tenantapp.audit.canonical import BEGINNING
from tenantapp.audit.checkpoints import Checkpoint, is_signed
from tenantapp.audit.errors import NotATrail
from tenantapp.audit.exporting import FORMAT, Line
from tenantapp.audit.following import MOST_TOLD, Finding, Follower
from tenantapp.audit.models import OF_NO_TENANT
from tenantapp.identity.names import FORGOTTEN

UNSEALED_FOR: Final = timedelta(minutes=10)  # longer than a transaction lasts
FORGET: Final = "user.forget"  # the action of the entry that says who was forgotten, and how many entries named them


@dataclass
class Verdict:
    """What was found. ``signed`` is false if there was no key to check signatures with, or none was made."""

    chains: int = 0
    entries: int = 0
    swept: int = 0
    unsealed: int = 0
    erased: int = 0
    signed: bool = True
    findings: list[Finding] = field(default_factory=list)
    untold: int = 0


def verify_lines(lines: Iterable[Line], keys: Collection[bytes]) -> Verdict:
    """Verify the lines of a trail. ``keys`` are the public keys that are trusted.

    Without keys, the signatures of the chains are not checked. Raises ``NotATrail``.
    """
    verifier = _Verifier(keys)
    try:
        for line in lines:
            verifier.add(line)
        return verifier.finish()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotATrail(f"This is not a file that `tenantapp audit export` has written ({error!r})") from error


def read_lines(file: Path) -> Iterator[Line]:
    """Yield the lines of an exported file. Raises ``NotATrail``."""
    with file.open("rb") as stream:
        for number, text in enumerate(stream, 1):
            try:
                line = json.loads(text)
            except ValueError as error:
                raise NotATrail(f"Line {number} of {file} is not JSON") from error
            if not isinstance(line, dict):
                raise NotATrail(f"Line {number} of {file} is not a JSON object")
            yield line


class _Verifier:
    def __init__(self, keys: Collection[bytes]) -> None:
        self._keys, self._verdict = keys, Verdict(signed=bool(keys))
        self._whole: bool | None = None
        self._follower: Follower | None = None
        self._head: Line | None = None
        self._forgotten: dict[str, int] = {}  # by person, how many entries were erased, as the trail has it
        self._erased: Counter[str] = Counter()  # by person, how many there are
        self._missing: set[str] = set()  # chains that were begun, and were not seen yet
        self._newest = ""  # the time of the newest entry that was sealed in its turn

    def add(self, line: Line) -> None:
        if self._whole is None:
            if line.get("audit_trail") != FORMAT:
                raise NotATrail("This is not a file that `tenantapp audit export` has written")
            self._whole = bool(line["whole"])
        elif "chain" in line:
            self._close_chain()
            self._open_chain(line)
        elif "unsealed" in line:
            self._verdict.unsealed += 1
            self._check_unsealed(line["unsealed"])
        else:
            self._add_entry(line)

    def finish(self) -> Verdict:
        if self._whole is None:
            raise NotATrail("The file is empty")
        self._close_chain()
        if self._whole:
            self._compare_erased()
            for chain in sorted(self._missing):
                self._tell(Finding("removed", chain, "This chain was begun, and nothing of it is left."))
        return self._verdict

    def _open_chain(self, line: Line) -> None:
        self._verdict.chains += 1
        chain, self._head, swept = line["chain"], line["head"], line["swept"]
        if self._head is None or swept is None:
            self._missing.discard(chain)
            self._follower = Follower(chain, 0, BEGINNING.hex())
            self._tell(Finding("removed", chain, "The signed end of this chain is missing."))
            return
        is_begun = chain in self._missing
        self._missing.discard(chain)
        recorded = self._is_signed(chain, "recorded", self._head)
        if self._keys and recorded and self._whole and not is_begun and chain != str(OF_NO_TENANT):
            text = "The entry that this chain begins is missing in the chain of no tenant."
            self._tell(Finding("removed", chain, text))
        if not recorded and not self._is_signed(chain, "head", self._head):
            self._tell_signature(chain, "end", self._head)
        if not self._is_signed(chain, "swept", swept):
            self._tell_signature(chain, "beginning", swept)
        self._follower = Follower(chain, swept["position"], swept["hash"])
        self._verdict.swept += swept["position"]

    def _is_signed(self, chain: str, end: Any, line: Line) -> bool:
        """Return whether an end of a chain is signed by a trusted key. Without keys nothing is wrong with it."""
        at = datetime.fromisoformat(line["at"])
        checkpoint = Checkpoint(UUID(chain), end, line["position"], bytes.fromhex(line["hash"]), at)
        key, signature = (None if line[name] is None else bytes.fromhex(line[name]) for name in ("key", "signature"))
        return not self._keys or is_signed(checkpoint, key, signature, self._keys)

    def _tell_signature(self, chain: str, where: str, line: Line) -> None:
        text = f"The signed {where} of the chain, after position {line['position']}, is not signed by a known key."
        self._tell(Finding("signature", chain, text, line["position"]))

    def _close_chain(self) -> None:
        follower = self._follower
        if follower is None:
            return
        if self._head is not None:
            follower.finish(self._head["position"], self._head["hash"])
        self._verdict.findings += follower.findings
        self._verdict.untold += follower.untold
        self._follower = None

    def _add_entry(self, line: Line) -> None:
        if self._follower is None:
            raise NotATrail("An entry stands before the line of its chain")
        self._verdict.entries += 1
        self._follower.add(line)
        entry = line["entry"]
        if entry["action"] == BEGIN:
            if self._follower.chain == str(OF_NO_TENANT):
                self._missing.add(entry["detail"]["chain"])
        else:
            self._newest = max(self._newest, entry["at"])
        if line["erased"] is not None:
            self._verdict.erased += 1
            self._erased.update(_people_in(line))
        elif entry["action"] == FORGET and self._follower.chain == str(OF_NO_TENANT):
            self._forgotten[entry["detail"]["user"]] = entry["detail"]["entries"]

    def _compare_erased(self) -> None:
        for person, number in self._erased.items():
            said = self._forgotten.get(person, 0)
            if number > said:
                text = f"{number} entries name a forgotten person, {person}, and the trail says that of {said}."
                self._tell(Finding("erased", str(OF_NO_TENANT), text))

    def _check_unsealed(self, entry: Line) -> None:
        """Entries are sealed in their order, so an old one that waits while younger ones are sealed was left out."""
        at, newest = (datetime.fromisoformat(text) for text in (entry["at"], self._newest or entry["at"]))
        if newest - at > UNSEALED_FOR or entry["action"] == BEGIN:
            text = f"The entry {entry['id']} of {entry['at']} is not sealed, and later ones are."
            self._tell(Finding("unsealed", entry["tenant_id"] or str(OF_NO_TENANT), text, None, entry["id"]))

    def _tell(self, finding: Finding) -> None:
        if len(self._verdict.findings) < MOST_TOLD:
            self._verdict.findings.append(finding)
        else:
            self._verdict.untold += 1


def _people_in(line: Line) -> set[str]:
    """Return the ids of the people who were erased from an entry. Without any, the id of the entry: nobody was."""
    found: set[str] = set()
    entry = line["entry"]
    _collect([entry["actor"], entry["detail"]], found)
    return found or {f"of the entry {entry['id']}"}


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, str) and value.startswith(FORGOTTEN):
        found.add(value.removeprefix(FORGOTTEN))
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _collect(each, found)
