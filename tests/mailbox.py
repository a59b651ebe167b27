"""A mail server and a web server of one's own, on loopback: they take what is sent, or refuse it on order."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself: the file to trust, and a server's side of TLS with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    trusted, private = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return trusted, context


@dataclass
class Mailbox:
    """What a mail server saw. ``tls``: its side of STARTTLS, None: it offers none; ``refuse``: answers to give, the next first:
    (verb, answer)."""

    tls: ssl.SSLContext | None = None
    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    plain: list[bytes] = field(default_factory=list)  # every line that came before TLS
    refuse: list[tuple[str, str]] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self) -> Iterator[Mailbox]:
        with _Server(("127.0.0.1", 0), _Session) as server:
            server.box = self
            self.port = server.server_address[1]
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    box: Mailbox


class _Session(StreamRequestHandler):
    """As much of RFC 5321 as smtplib speaks."""

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        self.box, self.secure, self.to = server.box, False, list[str]()
        with contextlib.suppress(OSError):  # the client may hang up, as it does at a certificate that it does not trust
            self.say("220 mail.test")
            while line := self.rfile.readline():
                if not self.secure:
                    self.box.plain.append(line)
                if not self.answer(line.decode().strip()):
                    break

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()  # the side of TLS: socketserver closes only the socket beneath

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
        self.wfile.flush()

    def answer(self, line: str) -> bool:
        verb = line.split(" ", maxsplit=1)[0].upper()
        if self.box.refuse and self.box.refuse[0][0] == verb:
            self.say(self.box.refuse.pop(0)[1])
        elif verb == "EHLO":
            offers = ["mail.test", *(["STARTTLS"] if self.box.tls and not self.secure else []), "AUTH PLAIN"]
            for offer in offers[:-1]:
                self.say(f"250-{offer}")
            self.say(f"250 {offers[-1]}")
        elif verb == "STARTTLS" and self.box.tls:
            self.say("220 go ahead")
            self.connection = self.box.tls.wrap_socket(self.request, server_side=True)
            self.rfile, self.wfile, self.secure = self.connection.makefile("rb"), self.connection.makefile("wb"), True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
            self.box.logins.append((user, password))
            self.say("235 welcome")
        elif verb == "RCPT":
            self.to.append(line.partition("<")[2].rstrip(">"))
            self.say("250 ok")
        elif verb == "DATA":
            self.say("354 go on")
            self.take()
        elif verb == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("250 ok")
        return True

    def take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.box.mails.append(mail)
        self.box.recipients.append(self.to)
        self.to = []
        self.say("250 taken")


@dataclass
class Hook:
    """What a web server was sent. ``answers``: statuses to give, the next first; without any 200."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def open(self, path: str = "/hooks/T0SECRET") -> Iterator[Hook]:
        hook = self

        class Takes(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.paths.append(self.path)
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                status = hook.answers.pop(0) if hook.answers else 200
                self.send_response(status)
                if status in (301, 302, 307, 308):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Takes) as server:
            self.url = f"http://127.0.0.1:{server.server_address[1]}{path}"
            thread = Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
