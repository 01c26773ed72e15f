"""A certificate authority of the test's own, and a proxy with TLS before a receiver."""

import asyncio
import contextlib
import ssl
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tillkeeper import clock


class Authority:
    """Signs certificates for 127.0.0.1; whoever trusts the file at `path` trusts them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of the test")])
        self.path = directory / "authority.pem"
        own = self._built(self._name, self._key, days=3650, ca=True)
        self.path.write_bytes(own.public_bytes(Encoding.PEM))

    def certificate(self, *, days: int = 365) -> Path:
        """A file with a fresh key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        made = self._built(name, key, days=days, ca=False)
        path = self._directory / f"server-{days}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + made.public_bytes(Encoding.PEM))
        return path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate())
        return context

    def _built(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int, ca: bool) -> x509.Certificate:
        now = clock.now()
        builder = (
            x509.CertificateBuilder(
                issuer_name=self._name,
                subject_name=name,
                public_key=key.public_key(),
                serial_number=x509.random_serial_number(),
                not_valid_before=now - timedelta(days=1),
                not_valid_after=now + timedelta(days=days),
            )
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        )
        return builder.sign(self._key, SHA256())


def an_authority(directory: Path) -> Authority:
    return Authority(directory)


class TlsProxy:
    """Ends TLS and passes the bytes on to a port of this machine."""

    def __init__(self, authority: Authority, *, to_port: int) -> None:
        self._to_port = to_port
        self._context = authority.server_context()
        self._server: asyncio.Server | None = None
        self.url = ""

    def use(self, certificate: Path) -> None:
        """New connections get this certificate."""
        self._context.load_cert_chain(certificate)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            try:
                there, back = await asyncio.open_connection("127.0.0.1", self._to_port)
            except OSError:
                writer.close()
                return
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass(reader, back))
                both.create_task(_pass(there, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
    writer.close()
