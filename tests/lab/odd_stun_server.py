#!/usr/bin/python3 -B
"""STUN servers that do something wrong, each on a port of its own, and a DNS server that points at them. Prints "ready".

Usage: odd_stun_server.py ADDRESS OTHER-ADDRESS [--dns]
"""

import select
import socket
import struct
import sys
import zlib

COOKIE = 0x2112A442
# name -> UDP port
UDP = {"silent": 4001, "garbage": 4002, "echo": 4003, "elsewhere": 4004, "refuses_420": 4005, "refuses_401": 4006, "old": 4007,
       "rewritten": 4008, "loses_first": 4009, "bad_fingerprint": 4010, "redirects": 4011, "no_address": 4012, "stranger": 4013,
       "truncated": 4014, "huge": 4015, "loses_some": 4016}
TCP = {"closes": 4021, "talks_http": 4022, "holds": 4023}


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + b"\0" * (-len(value) % 4)


def address(peer, xor, shift=0):
    port, ip = peer[1] + shift, struct.unpack("!I", socket.inet_aton(peer[0]))[0]
    if xor:
        port, ip = port ^ (COOKIE >> 16), ip ^ COOKIE
    return struct.pack("!BBHI", 0, 1, port, ip)


def message(kind, request, *attributes, fingerprint=None):
    body = b"".join(attributes)
    length = len(body) + (8 if fingerprint is not None else 0)
    head = struct.pack("!HH", kind, length) + request[4:20]
    if fingerprint is None:
        return head + body
    crc = zlib.crc32(head + body) ^ 0x5354554E ^ fingerprint
    return head + body + attribute(0x8028, struct.pack("!I", crc))


def answer(name, request, peer, seen):
    """What the server of that name sends back; None: nothing."""
    xor, plain = attribute(0x0020, address(peer, True)), attribute(0x0001, address(peer, False))
    error = lambda code, text, *more: message(0x0111, request, attribute(0x0009, struct.pack("!HBB", 0, code // 100, code % 100) + text), *more)
    first_time = request[8:20] not in seen
    seen.add(bytes(request[8:20]))
    return {
        "silent": lambda: None,
        "garbage": lambda: b"\xff\xfe\x00junk\x1b[31m that is no STUN",
        "echo": lambda: request,
        "elsewhere": lambda: message(0x0101, request, xor),
        "refuses_420": lambda: error(420, b"Unknown Attribute", attribute(0x000A, struct.pack("!H", 0x8028))),
        "refuses_401": lambda: error(401, b"Unauthenticated\x07", attribute(0x0014, b"realm"), attribute(0x0015, b"nonce")),
        "old": lambda: message(0x0101, request, plain),
        "rewritten": lambda: message(0x0101, request, xor, attribute(0x0001, address(peer, False, shift=7))),
        "loses_first": lambda: None if first_time else message(0x0101, request, xor),
        "bad_fingerprint": lambda: message(0x0101, request, xor, fingerprint=1),
        "redirects": lambda: error(300, b"Try Alternate", attribute(0x8023, address((peer[0], 4007), False))),
        "no_address": lambda: message(0x0101, request, attribute(0x8022, b"nothing to say")),
        "stranger": lambda: message(0x0101, request[:8] + b"x" * 12, xor),
        "truncated": lambda: message(0x0101, request, xor)[:-4],
        "huge": lambda: message(0x0101, request, xor, attribute(0x8022, b"\xe2\x82\xac" * 8000)),
        "loses_some": lambda: None if first_time and request[-1] % 2 else message(0x0101, request, xor),
    }[name]()


# --- DNS -----------------------------------------------------------------------------------------------------------------------


def zone(host):
    """name -> (type -> list of answers); SRV answers are (priority, weight, port, target)."""
    return {
        "plain.example": {"A": [host]},
        "good.example": {"A": [host]},
        "srv.example": {"SRV": {"_stun._udp": [(20, 0, 3478, "good.example"), (10, 0, UDP["silent"], "good.example")]}},
        "behaviour.example": {"SRV": {"_stun-behavior._udp": [(1, 0, 3478, "good.example")]}},
        "refused.example": {"A": [host], "SRV": {"_stun._udp": [(0, 0, 0, "")]}},
        "dangling.example": {"A": [host], "SRV": {"_stun._udp": [(0, 0, 3478, "gone.example")]}},
        "fails.example": {"A": [host], "SRV": None},  # SERVFAIL
    }


def dns_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def dns_answer(query, host):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1").lower())
        at += 1 + query[at]
    question, kind = query[12:at + 5], struct.unpack("!H", query[at + 1:at + 3])[0]
    service = ".".join(labels[:2]) if labels[0].startswith("_") else ""
    records = zone(host).get(".".join(labels[2:] if service else labels))
    answers, code = [], 0 if records is not None else 3
    if records is not None and kind == 1 and not service:
        answers = [socket.inet_aton(ip) for ip in records.get("A", [])]
    if records is not None and kind == 33 and service:
        table = records.get("SRV", {})
        if table is None:
            code = 2
        elif service in table:
            answers = [struct.pack("!HHH", *row[:3]) + dns_name(row[3]) for row in table[service]]
        else:
            code = 3
    head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(answers), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data for data in answers)
    return head + question + body


def main():
    host, other = sys.argv[1:3]
    sockets = {}
    for name, port in UDP.items():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((host, port))
        sockets[s] = ("udp", name)
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind((other, UDP["elsewhere"]))
    for name, port in TCP.items():
        sockets[socket.create_server((host, port))] = ("tcp", name)
    if "--dns" in sys.argv:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((host, 53))
        sockets[s] = ("dns", "")
    kept, seen = [], set()
    print("ready", flush=True)
    while True:
        for s in select.select(list(sockets), [], [])[0]:
            kind, name = sockets[s]
            if kind == "tcp":
                connection, _ = s.accept()
                if name == "talks_http":
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                kept = [*kept[-8:], connection] if name == "holds" else kept
                if name != "holds":
                    connection.recv(4096)
                    connection.close()
                continue
            data, peer = s.recvfrom(4096)
            if kind == "dns":
                s.sendto(dns_answer(data, host), peer)
            elif len(data) >= 20:
                back = answer(name, data, peer, seen)
                if back is not None:
                    (elsewhere if name == "elsewhere" else s).sendto(back, peer)


if __name__ == "__main__":
    main()
