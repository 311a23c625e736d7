# SPDX-License-Identifier: MIT
"""Certificates of every kind a client should meet once, and OCSP responses about them."""
import base64 as base64_module
import ctypes
import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general_name(name):
    if isinstance(name, x509.GeneralName):
        return name
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Certificate:
    """A certificate with its key, and the chain that leads up to its root, itself first."""

    def __init__(self, certificate, key, issuer=None):
        self.certificate, self.key, self.issuer = certificate, key, issuer
        self.raw = None  # other bytes in its place, which cryptography need not understand

    @property
    def pem(self):
        return ssl.DER_cert_to_PEM_cert(self.der).encode()

    @property
    def der(self):
        return self.raw or self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def chain(self):
        """Without the root."""
        return [self] + (self.issuer.chain() if self.issuer and self.issuer.issuer else [])

    def write(self, folder, name, chain=None):
        """Return: (certificates, key) as files."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_bytes(b"".join(each.pem for each in chain or self.chain()))
        key.write_bytes(self.key_pem)
        return cert, key

    def issue(self, *names, common_name="leaf", key=None, start=None, end=None, usage="server",
              is_ca=False, path_length=None, constraints=None, must_staple=False,
              digest=hashes.SHA256(), issuer_key=None, extensions=(), critical=()):
        """Names are DNS names, addresses or x509.GeneralName; none: no extension for them."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = (x509.CertificateBuilder().subject_name(name_of(common_name))
                   .issuer_name(self.certificate.subject if self.certificate else
                                name_of(common_name))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(start or now() - DAY).not_valid_after(end or now() + 30 * DAY))
        if is_ca:
            builder = builder.add_extension(x509.BasicConstraints(True, path_length), True)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([general_name(name) for name in names]), False)
        if usage and not is_ca:
            oid = {"server": ExtendedKeyUsageOID.SERVER_AUTH,
                   "client": ExtendedKeyUsageOID.CLIENT_AUTH,
                   "ocsp": ExtendedKeyUsageOID.OCSP_SIGNING}[usage]
            builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), False)
        if constraints:
            builder = builder.add_extension(constraints, True)
        if must_staple:
            builder = builder.add_extension(
                x509.TLSFeature([x509.TLSFeatureType.status_request]), False)
        for extension in extensions:
            builder = builder.add_extension(extension, False)
        for extension in critical:
            builder = builder.add_extension(extension, True)
        certificate = builder.sign(issuer_key or self.key or key, digest)
        return Certificate(certificate, key, self if self.certificate else None)

    def authority(self, common_name, **more):
        return self.issue(common_name=common_name, is_ca=True, **more)

    def staple(self, leaf, status="good", start=None, end=HOUR, signer=None, about=None,
               digest=hashes.SHA1(), reason=None):
        """A response about @leaf of this authority's; end: from now, None: not said."""
        signer = signer or self
        start = start or now() - HOUR
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate, issuer=self.certificate, algorithm=digest,
            cert_status={"good": ocsp.OCSPCertStatus.GOOD, "revoked": ocsp.OCSPCertStatus.REVOKED,
                         "unknown": ocsp.OCSPCertStatus.UNKNOWN}[status],
            this_update=start, next_update=now() + end if end is not None else None,
            revocation_time=now() - DAY if status == "revoked" else None,
            revocation_reason=reason)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if signer is not self:
            builder = builder.certificates([signer.certificate])
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def root(common_name="trust test root", **more):
    return Certificate(None, None).authority(common_name, **more)


def self_signed(*names, **more):
    return Certificate(None, None).issue(*names, **more)


def rsa_key(bits):
    return rsa.generate_private_key(65537, bits)


def base64(data):
    return base64_module.b64encode(data).decode()


def spki_sha256(certificate):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(certificate.certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize()


def address_of(data: bytes) -> int:
    """Of bytes that somebody holds on to, for ctypes."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
