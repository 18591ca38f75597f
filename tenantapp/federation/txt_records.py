"""Read TXT records from the DNS (RFC 1035): what is published at this moment, as far as the asked servers know it.

Only the configured servers are asked, and the name is taken as it is, without the search list of the machine. Nothing
is connected to that a record names. Few threads of a process wait for the DNS at once, and one for each tenant: a
tenant chooses the servers that answer for its domains, and they may be slow.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final
from uuid import UUID

from tenantapp.federation.errors import DnsUnavailable, TooManyConversations

if TYPE_CHECKING:
    from dns.resolver import Answer, Resolver

TRY: Final = 2.0  # seconds until a question that was not answered is asked again


@dataclass(frozen=True, slots=True)
class TxtAnswer:
    """The texts at a name. ``alias`` is the name that it is an alias of (CNAME, DNAME): then the texts are not its own.

    Of a record that has several strings, the text is all of them. What is not ASCII is written with backslashes.
    """

    texts: tuple[str, ...] = ()
    alias: str | None = None


class TxtRecords:
    """Asks the DNS. ``servers`` are addresses and ports, or None for those of the machine.

    ``seconds`` bounds each question, repetitions included; ``most`` the questions at once.
    """

    def __init__(self, servers: Sequence[tuple[str, int]] | None, *, seconds: float, most: int) -> None:
        self._servers, self._seconds = servers, seconds
        self._places = BoundedSemaphore(most)
        self._asking: set[UUID] = set()
        self._lock = Lock()

    def read(self, name: str, tenant_id: UUID | None) -> TxtAnswer:
        """Return what the DNS has at a name, in full. A tenant asks one question at a time.

        Raises ``DnsUnavailable`` and ``TooManyConversations``.
        """
        with self.place_of(tenant_id):
            return self._asked(name)

    @contextmanager
    def place_of(self, tenant_id: UUID | None) -> Iterator[None]:
        """Let the block ask a question of a tenant. Raises ``TooManyConversations``."""
        with self._lock:
            if tenant_id in self._asking:
                raise TooManyConversations("The tenant is asking the DNS already.")
            if not self._places.acquire(blocking=False):
                raise TooManyConversations("Too many people are waiting for the DNS.")
            if tenant_id is not None:
                self._asking.add(tenant_id)
        try:
            yield
        finally:
            with self._lock:
                if tenant_id is not None:
                    self._asking.discard(tenant_id)
                self._places.release()

    def _asked(self, name: str) -> TxtAnswer:
        # It takes a fifth of a second to import, and few processes ask.
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            return _texts(self._resolver().resolve(f"{name}.", "TXT", search=False))
        except (NXDOMAIN, NoAnswer):
            return TxtAnswer()
        except (DNSException, OSError) as error:
            raise DnsUnavailable(name) from error

    def _resolver(self) -> "Resolver":
        """Return a resolver without a cache. Made for each question, it has the machine's present servers."""
        from dns.nameserver import Do53Nameserver
        from dns.resolver import Resolver

        resolver = Resolver(configure=self._servers is None)
        if self._servers is not None:
            resolver.nameservers = [Do53Nameserver(address, port) for address, port in self._servers]
        resolver.timeout, resolver.lifetime = min(TRY, self._seconds), self._seconds
        return resolver


def _texts(answer: "Answer") -> TxtAnswer:
    if answer.canonical_name != answer.qname:
        return TxtAnswer(alias=answer.canonical_name.to_text(omit_final_dot=True))
    texts = (b"".join(record.strings).decode("ascii", "backslashreplace") for record in answer)
    return TxtAnswer(tuple(texts))
