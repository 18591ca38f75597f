"""A DNS server in the tests: real questions and answers, by UDP and TCP, on this machine."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from dns import flags, message, rcode, rdatatype, rrset
from dns.rdtypes.ANY.TXT import TXT

TTL: Final = 3600  # long, so an answer that is kept would be noticed
LONGEST_UDP: Final = 512  # octets (RFC 1035, section 4.2.1)
PORTS_TRIED: Final = 20
SILENT: Final = "silent"
BROKEN: Final = "broken"


@dataclass
class DnsServer:
    """A running server. ``texts`` has what it publishes: below a name a text, or parts of one, for each record.

    ``aliases`` has the names that are aliases of others. The names of ``faults`` are answered with SERVFAIL or never.
    ``asked`` has each question: its name, and the protocol.
    """

    port: int = 0
    texts: dict[str, list[bytes | tuple[bytes, ...]]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def clear(self) -> None:
        """Publish nothing."""
        for each in (self.texts, self.aliases, self.faults, self.asked):
            each.clear()

    def publish(self, name: str, *texts: str) -> None:
        """Publish these texts at a name, and no others."""
        self.texts[name] = [text.encode() for text in texts]

    def answer(self, wire: bytes, protocol: str) -> bytes | None:
        """Return the answer to a question, or None for none."""
        query = message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True)
        self.asked.append((name, protocol))
        if self.faults.get(name) == SILENT:
            return None
        answer = message.make_response(query)
        if name in self.faults:
            answer.set_rcode(rcode.SERVFAIL)
            return answer.to_wire()
        found = self._records(answer, name)
        if not found:
            answer.set_rcode(rcode.NXDOMAIN)
        wire = answer.to_wire(max_size=65535)
        longest = query.payload or LONGEST_UDP
        if protocol == "udp" and len(wire) > longest:
            answer.answer.clear()
            answer.flags |= flags.TC
            wire = answer.to_wire()
        return wire

    def _records(self, answer: Any, name: str) -> bool:
        """Add what there is at a name to an answer, and at the names that it is an alias of."""
        while name in self.aliases:
            answer.answer.append(rrset.from_text(f"{name}.", TTL, "IN", "CNAME", f"{self.aliases[name]}."))
            name = self.aliases[name]
        texts = [TXT("IN", rdatatype.TXT, each) for each in self.texts.get(name, [])]
        if texts:
            answer.answer.append(rrset.from_rdata_list(f"{name}.", TTL, texts))
        return bool(answer.answer)


@contextmanager
def running_dns_server() -> Iterator[DnsServer]:
    """Start a server, and end it."""
    server = DnsServer()

    class OverUdp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, socket = self.request
            if (answer := server.answer(wire, "udp")) is not None:
                socket.sendto(answer, self.client_address)

    class OverTcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            # RFC 1035, section 4.2.2: the length of each message precedes it.
            length = int.from_bytes(self.rfile.read(2))
            if (answer := server.answer(self.rfile.read(length), "tcp")) is not None:
                self.wfile.write(len(answer).to_bytes(2) + answer)

    tcp, udp = _on_one_port(OverTcp, OverUdp)
    with tcp, udp:
        server.port = int(udp.server_address[1])
        for each in (udp, tcp):
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield server
        finally:
            udp.shutdown()
            tcp.shutdown()


def _on_one_port(tcp: Any, udp: Any) -> tuple[socketserver.TCPServer, socketserver.UDPServer]:
    for _ in range(PORTS_TRIED):
        first = socketserver.ThreadingTCPServer(("127.0.0.1", 0), tcp)
        try:
            return first, socketserver.ThreadingUDPServer(first.server_address, udp)
        except OSError:
            first.server_close()  # by UDP, somebody else has this port
    raise AssertionError("no port is free for both TCP and UDP")
