"""A small TURN client written from RFC 8489 and RFC 8656 alone, to check turnd with code that shares nothing with it.

Speaks UDP, over IPv4 and IPv6 (turn_stream.py: TCP, TLS and DTLS); authenticates as an RFC 5389 client does (MD5 key, MESSAGE-INTEGRITY) or as an RFC 8489
one (SHA-256 key and MESSAGE-INTEGRITY-SHA256). It checks the integrity of every answer. It is no ICE agent, keeps
nothing alive by itself, and knows only what the tests need.
"""

import base64
import enum
import hashlib
import hmac
import ipaddress
import os
import select
import socket
import struct
import time
import zlib

COOKIE = 0x2112A442
NONCE_COOKIE = b'obMatJos2'


class Method(enum.IntEnum):
    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class Class(enum.IntEnum):
    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Attr(enum.IntEnum):
    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    ACCESS_TOKEN = 0x001B
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    PASSWORD_ALGORITHM = 0x001D
    USERHASH = 0x001E
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PADDING = 0x0026
    RESPONSE_PORT = 0x0027
    CONNECTION_ID = 0x002A
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    PASSWORD_ALGORITHMS = 0x8002
    SOFTWARE = 0x8022
    ALTERNATE_SERVER = 0x8023
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C
    THIRD_PARTY_AUTHORIZATION = 0x802E
    ORIGIN = 0x802F
    MOBILITY_TICKET = 0x8030


MD5 = 0x0001
SHA256 = 0x0002
IPV4 = 0x01
IPV6 = 0x02


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, code, reason, response):
        super().__init__(f'error {code} ({reason})')
        self.code = code
        self.response = response


class NoAnswer(Exception):
    """The server did not answer in time."""


class BadAnswer(Exception):
    """The server's answer breaks the RFCs."""


def attribute(kind, value):
    return struct.pack('!HH', kind, len(value)) + value + bytes(-len(value) % 4)


def encode_address(address, transaction):
    ip = ipaddress.ip_address(address[0])
    port = address[1] ^ (COOKIE >> 16)
    mask = struct.pack('!I', COOKIE) + transaction
    masked = bytes(a ^ b for a, b in zip(ip.packed, mask))
    return struct.pack('!BBH', 0, IPV4 if ip.version == 4 else IPV6, port) + masked


def decode_plain_address(value):
    """An address that is not XORed: MAPPED-ADDRESS, ALTERNATE-SERVER, RESPONSE-ORIGIN, OTHER-ADDRESS."""
    _, family, port = struct.unpack_from('!BBH', value)
    if (family, len(value)) not in ((IPV4, 8), (IPV6, 20)):
        raise BadAnswer(f'address attribute of family {family} and {len(value)} bytes')
    return str(ipaddress.ip_address(value[4:])), port


def decode_address(value, transaction):
    _, family, port = struct.unpack_from('!BBH', value)
    if (family, len(value)) not in ((IPV4, 8), (IPV6, 20)):
        raise BadAnswer(f'address attribute of family {family} and {len(value)} bytes')
    mask = struct.pack('!I', COOKIE) + transaction
    packed = bytes(a ^ b for a, b in zip(value[4:], mask))
    return str(ipaddress.ip_address(packed)), port ^ (COOKIE >> 16)


class Message:
    """A STUN message: what was read, attribute by attribute."""

    def __init__(self, raw):
        if len(raw) < 20:
            raise BadAnswer(f'{len(raw)} bytes are no STUN message')
        kind, length, cookie, self.transaction = struct.unpack_from('!HHI12s', raw)
        if cookie != COOKIE or length != len(raw) - 20 or kind & 0xC000:
            raise BadAnswer('not a STUN header')
        self.raw = raw
        self.method = kind & 0x3EEF
        self.cls = Class(kind & 0x0110)
        self.attributes = []  # (type, value, offset of the attribute)
        at = 20
        while at < len(raw):
            attr_type, size = struct.unpack_from('!HH', raw, at)
            if at + 4 + size > len(raw):
                raise BadAnswer(f'attribute {attr_type:#06x} runs over the end')
            self.attributes.append((attr_type, raw[at + 4:at + 4 + size], at))
            at += 4 + size + (-size % 4)

    def find(self, kind):
        for attr_type, value, _ in self.attributes:
            if attr_type == kind:
                return value
        return None

    def find_all(self, kind):
        return [value for attr_type, value, _ in self.attributes if attr_type == kind]

    def address(self, kind):
        value = self.find(kind)
        return None if value is None else decode_address(value, self.transaction)

    def plain_address(self, kind):
        value = self.find(kind)
        return None if value is None else decode_plain_address(value)

    def kinds(self):
        """The attribute types in their order."""
        return [attr_type for attr_type, _, _ in self.attributes]

    def addresses(self, kind):
        return [decode_address(value, self.transaction) for value in self.find_all(kind)]

    def number(self, kind):
        value = self.find(kind)
        return None if value is None else int.from_bytes(value, 'big')

    def error(self):
        value = self.find(Attr.ERROR_CODE)
        if value is None or len(value) < 4:
            raise BadAnswer('error response without ERROR-CODE')
        return (value[2] & 7) * 100 + value[3], value[4:].decode('utf-8', 'replace')

    def check_integrity(self, kind, key):
        """Raises BadAnswer unless the integrity attribute `kind` is there and right."""
        for attr_type, value, at in self.attributes:
            if attr_type != kind:
                continue
            digest = hashlib.sha1 if kind == Attr.MESSAGE_INTEGRITY else hashlib.sha256
            covered = self.raw[:2] + struct.pack('!H', at - 20 + 4 + len(value)) + self.raw[4:at]
            if not hmac.compare_digest(hmac.new(key, covered, digest).digest()[:len(value)], value):
                raise BadAnswer(f'{Attr(kind).name} of the answer is wrong')
            return
        raise BadAnswer(f'the answer has no {Attr(kind).name}')

    def check_fingerprint(self):
        """Raises BadAnswer when there is a FINGERPRINT and it is wrong; False when there is none."""
        for attr_type, value, at in self.attributes:
            if attr_type == Attr.FINGERPRINT:
                covered = self.raw[:2] + struct.pack('!H', at - 20 + 8) + self.raw[4:at]
                if int.from_bytes(value, 'big') != zlib.crc32(covered) ^ 0x5354554E:
                    raise BadAnswer('FINGERPRINT of the answer is wrong')
                return True
        return False


def build(method, cls, transaction, attributes, integrity=None, key=b'', fingerprint=False):
    """A message; `integrity` is None or the attribute that carries it."""
    body = b''.join(attribute(kind, value) for kind, value in attributes)

    def header(extra):
        return struct.pack('!HHI12s', method | cls, len(body) + extra, COOKIE, transaction)

    if integrity is not None:
        digest, size = (hashlib.sha1, 20) if integrity == Attr.MESSAGE_INTEGRITY else (hashlib.sha256, 32)
        body += attribute(integrity, hmac.new(key, header(4 + size) + body, digest).digest())
    if fingerprint:
        crc = zlib.crc32(header(8) + body) ^ 0x5354554E
        body += attribute(Attr.FINGERPRINT, struct.pack('!I', crc))
    return header(0) + body


def rest_credentials(secret, user='', lifetime=3600, separator=':', now=None):
    """User name and password of the TURN REST API."""
    name = str(int(now if now is not None else time.time()) + lifetime) + (separator + user if user else '')
    password = base64.b64encode(hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()).decode()
    return name, password


class Algorithm(enum.Enum):
    """How a client authenticates."""

    SHA1 = 'RFC 5389: MD5 key, MESSAGE-INTEGRITY'
    SHA256 = 'RFC 8489: SHA-256 key, MESSAGE-INTEGRITY-SHA256'
    SHA256_WITH_MD5_KEY = 'RFC 8489: MD5 key, MESSAGE-INTEGRITY-SHA256'
    SHA256_USERHASH = 'RFC 8489: SHA-256 key, MESSAGE-INTEGRITY-SHA256, USERHASH'


class Client:
    """One client address of a TURN server, and at most one allocation there."""

    retransmits = True  # what a client does on a transport that may lose messages

    def __init__(self, server, user=None, password=None, *, algorithm=Algorithm.SHA1, local=None, timeout=10.0,
                 sock=None):
        self.server = server
        self.user = user
        self.password = password
        self.algorithm = algorithm
        self.timeout = timeout
        self.fingerprint = False
        self.socket = sock or self._open(local)
        self.socket.setblocking(False)
        self.realm = None
        self.nonce = None
        self.password_algorithms = None
        self.relayed = []  # what the server gave, as (ip, port)
        self.mapped = None
        self.lifetime = None
        self.reservation_token = None
        self.ticket = None  # RFC 8016
        self.channels = {}  # number -> peer
        self.received = []  # (peer, data, channel or None), not yet taken by receive()
        self.attempts = []  # (connection id, peer) of ConnectionAttempt indications (RFC 6062)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _open(self, local):
        family = socket.AF_INET6 if ':' in self.server[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if local is not None:
            sock.bind(local)
        return sock

    # Transactions.

    def _key(self):
        text = f'{self.user}:{self.realm}:{self.password}'.encode()
        if self.algorithm in (Algorithm.SHA1, Algorithm.SHA256_WITH_MD5_KEY):
            return hashlib.md5(text).digest()
        return hashlib.sha256(text).digest()

    def _integrity(self):
        return Attr.MESSAGE_INTEGRITY if self.algorithm == Algorithm.SHA1 else Attr.MESSAGE_INTEGRITY_SHA256

    def _credentials(self):
        if self.algorithm == Algorithm.SHA256_USERHASH:
            out = [(Attr.USERHASH, hashlib.sha256(f'{self.user}:{self.realm}'.encode()).digest())]
        else:
            out = [(Attr.USERNAME, self.user.encode())]
        out += [(Attr.REALM, self.realm.encode()), (Attr.NONCE, self.nonce)]
        if self.algorithm != Algorithm.SHA1:
            number = MD5 if self.algorithm == Algorithm.SHA256_WITH_MD5_KEY else SHA256
            out += [(Attr.PASSWORD_ALGORITHMS, self.password_algorithms),
                    (Attr.PASSWORD_ALGORITHM, struct.pack('!HH', number, 0))]
        return out

    def _take_challenge(self, response):
        self.realm = (response.find(Attr.REALM) or b'').decode()
        self.nonce = response.find(Attr.NONCE)
        if self.nonce is None:
            raise BadAnswer('challenge without NONCE')
        if self.algorithm == Algorithm.SHA1:
            return
        self.password_algorithms = response.find(Attr.PASSWORD_ALGORITHMS)
        if not self.nonce.startswith(NONCE_COOKIE) or self.password_algorithms is None:
            raise BadAnswer('the server offers no password algorithms')
        features = int.from_bytes(base64.b64decode(self.nonce[len(NONCE_COOKIE):len(NONCE_COOKIE) + 4]), 'big')
        if not features & 0x800000:
            raise BadAnswer('the nonce does not announce password algorithms')

    def transact(self, message):
        """Sends the message until its answer comes, or raises NoAnswer."""
        transaction = message[8:20]
        end = time.monotonic() + self.timeout
        wait = 0.5
        while True:
            self._send(message)
            retry = min(end, time.monotonic() + wait) if self.retransmits else end
            while (left := retry - time.monotonic()) > 0:
                raw = self._read(left)
                if raw is None:
                    break
                answer = self._sort(raw)
                if answer is not None and answer.transaction == transaction:
                    return answer
            if time.monotonic() >= end:
                raise NoAnswer(f'{Method(int.from_bytes(message[:2], "big") & 0x3EEF).name}: '
                               f'no answer from {self.server} in {self.timeout:g} s')
            wait *= 2

    def request(self, method, attributes=(), *, authenticated=True):
        """An authenticated request: follows 401 and 438 once each. `attributes` may be a function of the transaction
        id. Returns the success response or raises Refused."""
        challenged = 0
        while True:
            transaction = os.urandom(12)
            wanted = list(attributes(transaction) if callable(attributes) else attributes)
            signed = authenticated and self.nonce is not None and self.user is not None
            message = build(method, Class.REQUEST, transaction, wanted + (self._credentials() if signed else []),
                            self._integrity() if signed else None, self._key() if signed else b'', self.fingerprint)
            answer = self.transact(message)
            answer.check_fingerprint()
            if answer.cls == Class.SUCCESS:
                if signed:
                    answer.check_integrity(self._integrity(), self._key())
                return answer
            code, reason = answer.error()
            if (authenticated and self.user is not None and challenged < 2 and
                    (code == 438 or (code == 401 and not signed))):
                self._take_challenge(answer)
                challenged += 1
                continue
            raise Refused(code, reason, answer)

    # Requests.

    def binding(self):
        answer = self.request(Method.BINDING, authenticated=False)
        return answer.address(Attr.XOR_MAPPED_ADDRESS)

    def allocate(self, *, lifetime=None, family=None, dual=False, even_port=None, token=None, transport=17,
                 dont_fragment=False, mobile=False, extra=()):
        """Makes the allocation; its first relayed address."""
        attributes = [(Attr.REQUESTED_TRANSPORT, struct.pack('!B3x', transport))]
        if lifetime is not None:
            attributes.append((Attr.LIFETIME, struct.pack('!I', lifetime)))
        if family is not None:
            attributes.append((Attr.REQUESTED_ADDRESS_FAMILY, struct.pack('!B3x', family)))
        if dual:
            attributes.append((Attr.ADDITIONAL_ADDRESS_FAMILY, struct.pack('!B3x', IPV6)))
        if even_port is not None:
            attributes.append((Attr.EVEN_PORT, struct.pack('!B', 0x80 if even_port == 'reserve' else 0)))
        if token is not None:
            attributes.append((Attr.RESERVATION_TOKEN, token))
        if dont_fragment:
            attributes.append((Attr.DONT_FRAGMENT, b''))
        if mobile:
            attributes.append((Attr.MOBILITY_TICKET, b''))
        attributes += extra
        answer = self.request(Method.ALLOCATE, attributes)
        self.relayed = answer.addresses(Attr.XOR_RELAYED_ADDRESS)
        self.mapped = answer.address(Attr.XOR_MAPPED_ADDRESS)
        self.lifetime = answer.number(Attr.LIFETIME)
        self.reservation_token = answer.find(Attr.RESERVATION_TOKEN)
        self.ticket = answer.find(Attr.MOBILITY_TICKET)
        if not self.relayed or self.mapped is None or self.lifetime is None:
            raise BadAnswer('Allocate success without relayed address, mapped address or lifetime')
        return self.relayed[0]

    def refresh(self, lifetime=None):
        attributes = [] if lifetime is None else [(Attr.LIFETIME, struct.pack('!I', lifetime))]
        self.lifetime = self.request(Method.REFRESH, attributes).number(Attr.LIFETIME)
        return self.lifetime

    def delete(self):
        return self.refresh(0)

    def permit(self, *peers):
        """CreatePermission for addresses, given as ip or (ip, port)."""
        pairs = [peer if isinstance(peer, tuple) else (peer, 0) for peer in peers]
        self.request(Method.CREATE_PERMISSION,
                     lambda id: [(Attr.XOR_PEER_ADDRESS, encode_address(peer, id)) for peer in pairs])

    def bind(self, channel, peer):
        self.request(Method.CHANNEL_BIND, lambda id: [(Attr.CHANNEL_NUMBER, struct.pack('!HH', channel, 0)),
                                                      (Attr.XOR_PEER_ADDRESS, encode_address(peer, id))])
        self.channels[channel] = peer

    # Data.

    def send(self, peer, data):
        """A Send indication."""
        transaction = os.urandom(12)
        self._send(build(Method.SEND, Class.INDICATION, transaction,
                         [(Attr.XOR_PEER_ADDRESS, encode_address(peer, transaction)), (Attr.DATA, data)]))

    def send_channel(self, channel, data):
        self._send(struct.pack('!HH', channel, len(data)) + data)

    def receive(self, timeout=10.0):
        """The next data from a peer: (peer, data, channel or None)."""
        end = time.monotonic() + timeout
        while not self.received:
            left = end - time.monotonic()
            raw = self._read(left) if left > 0 else None
            if raw is None:
                raise NoAnswer(f'no data from any peer in {timeout:g} s')
            self._sort(raw)
        return self.received.pop(0)

    def silent(self, timeout=0.5):
        """True when no data comes for `timeout` seconds."""
        try:
            self.received.insert(0, self.receive(timeout))
        except NoAnswer:
            return True
        return False

    def _send(self, datagram):
        self.socket.sendto(datagram, self.server)

    def _read(self, timeout):
        ready = select.poll()
        ready.register(self.socket, select.POLLIN)
        if not ready.poll(max(1, timeout * 1000)):
            return None
        raw, source = self.socket.recvfrom(65536)
        if source[:2] != tuple(self.server[:2]):
            raise BadAnswer(f'a datagram from {source}, which is not the server {self.server}')
        return raw

    # Data is kept for receive(); responses are returned.
    def _sort(self, raw):
        if raw and raw[0] >> 6 == 1:
            channel, length = struct.unpack_from('!HH', raw)
            if length > len(raw) - 4:
                raise BadAnswer(f'ChannelData of {len(raw) - 4} bytes says {length}')
            if channel not in self.channels:
                raise BadAnswer(f'ChannelData on {channel:#06x}, which this client did not bind')
            self.received.append((self.channels[channel], raw[4:4 + length], channel))
            return None
        message = Message(raw)
        if message.cls in (Class.SUCCESS, Class.ERROR):
            return message
        if message.method == Method.CONNECTION_ATTEMPT:
            self.attempts.append((message.find(Attr.CONNECTION_ID), message.address(Attr.XOR_PEER_ADDRESS)))
            return None
        if message.method != Method.DATA:
            raise BadAnswer(f'an indication of method {message.method:#x}')
        peer = message.address(Attr.XOR_PEER_ADDRESS)
        data = message.find(Attr.DATA)
        if peer is None or (data is None):
            return None  # an ICMP report (RFC 8656, section 11.5)
        self.received.append((peer, data, None))
        return None
