#!/usr/bin/python3 -B
"""A NAT for UDP over IPv4 in user space, because nftables cannot express every mapping and filtering of RFC 4787.

Runs inside a host of the laboratory that forwards packets. Takes what `--inside DEVICE` receives and what is sent to
`--public ADDRESS`, which no interface has, through a TUN device. Mappings are bounded and end after `--lifetime` seconds
without outbound packets. Checksums are left out, as UDP over IPv4 allows. Prints "ready". Refuses: fragments, other protocols.
"""

import argparse
import fcntl
import os
import random
import struct
import subprocess
import time

MAX_MAPPINGS = 4096
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def header_checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rewritten(packet, size, source, destination):
    """The packet between other endpoints; each is (address bytes, port)."""
    header = bytearray(packet[:size])
    header[10:12] = b"\0\0"
    header[12:16], header[16:20] = source[0], destination[0]
    header[10:12] = header_checksum(bytes(header)).to_bytes(2, "big")
    udp_length = int.from_bytes(packet[size + 4:size + 6], "big")
    return bytes(header) + struct.pack("!HHHH", source[1], destination[1], udp_length, 0) + packet[size + 8:]


class Mapping:
    def __init__(self, inside, port, now):
        self.inside, self.port, self.used = inside, port, now
        self.remotes = set()  # endpoints that were sent to


class Nat:
    def __init__(self, public, mapping, filtering, ports, lifetime, hairpin):
        self.public, self.mapping, self.filtering = public, mapping, filtering
        self.ports, self.lifetime, self.hairpin = ports, lifetime, hairpin
        self.by_key, self.by_port = {}, {}
        self.next_port = 40000
        self.random = random.Random(1)

    def _key(self, inside, remote):
        return {"ei": (inside,), "ad": (inside, remote[0]), "apd": (inside, remote)}[self.mapping]

    def _free_port(self, wanted):
        if self.ports == "keep" and wanted not in self.by_port:
            return wanted
        while True:
            if self.ports == "row":
                self.next_port += 1
                port = self.next_port
            else:
                port = self.random.randrange(20000, 60000)
            if port not in self.by_port:
                return port

    def _live(self, mapping, now):
        return mapping is not None and now - mapping.used <= self.lifetime

    def outbound(self, inside, remote, now):
        key = self._key(inside, remote)
        mapping = self.by_key.get(key)
        if not self._live(mapping, now):
            if mapping is not None:
                self.by_port.pop(mapping.port, None)
            if len(self.by_port) >= MAX_MAPPINGS:
                return None
            mapping = Mapping(inside, self._free_port(inside[1]), now)
            self.by_key[key] = self.by_port[mapping.port] = mapping
        mapping.used = now
        mapping.remotes.add(remote)
        return mapping

    def inbound(self, port, remote, now):
        mapping = self.by_port.get(port)
        if not self._live(mapping, now):
            return None
        allowed = {"ei": True, "ad": any(remote[0] == r[0] for r in mapping.remotes), "apd": remote in mapping.remotes}
        return mapping if allowed[self.filtering] else None

    def translate(self, packet, now):
        """The packet to forward instead, or None."""
        size = (packet[0] & 0x0F) * 4
        fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
        if packet[0] >> 4 != 4 or packet[9] != 17 or fragment or len(packet) < size + 8:
            return None
        ports = struct.unpack("!HH", packet[size:size + 4])
        source, destination = (packet[12:16], ports[0]), (packet[16:20], ports[1])
        comes_from_inside = source[0] != self.public and source[0][:2] in (b"\xc0\xa8", b"\x0a\x00", b"\x64\x40")
        if comes_from_inside:
            mapping = self.outbound(source, destination, now)
            if mapping is None or (destination[0] == self.public and not self.hairpin):
                return None
            source = (self.public, mapping.port)
        if destination[0] == self.public:
            mapping = self.inbound(destination[1], source, now)
            if mapping is None:
                return None
            destination = mapping.inside
        return rewritten(packet, size, source, destination)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--public", required=True)
    parser.add_argument("--inside", required=True)
    parser.add_argument("--mapping", choices=("ei", "ad", "apd"), default="ei")
    parser.add_argument("--filtering", choices=("ei", "ad", "apd"), default="ei")
    parser.add_argument("--ports", choices=("keep", "row", "random"), default="random")
    parser.add_argument("--lifetime", type=float, default=300)
    parser.add_argument("--hairpin", action="store_true")
    options = parser.parse_args()
    fd = open_tun("nat0")
    for command in ("link set nat0 up", f"route add {options.public}/32 dev nat0", f"rule add iif {options.inside} table 100",
                    "route add default dev nat0 table 100"):
        subprocess.run(["ip", *command.split()], check=True)
    public = bytes(int(part) for part in options.public.split("."))
    nat = Nat(public, options.mapping, options.filtering, options.ports, options.lifetime, options.hairpin)
    print("ready", flush=True)
    while True:
        packet = nat.translate(os.read(fd, 65536), time.monotonic())
        if packet is not None:
            os.write(fd, packet)


if __name__ == "__main__":
    main()
