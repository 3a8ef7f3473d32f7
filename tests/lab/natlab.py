"""Networks behind NATs of every kind, around one public server with two addresses.

    with Internet() as net:
        net.start_turnd(TURND)
        home = net.home("symmetric", net.userspace(mapping="apd", filtering="apd"))
        home.client.run([PROBE, "nat", net.first])

A home is a client, a router and the router's public address, which is its own: homes run side by side. The router's
translation is one of the functions below; each gets the home when its cables are there.
"""

import ipaddress
import os
import pathlib
import tempfile

import netlab

FOLDER = pathlib.Path(__file__).resolve().parent
FIRST, SECOND = "203.0.113.10", "203.0.113.11"
FIRST6, SECOND6 = "2001:db8:1::10", "2001:db8:1::11"
PORT, OTHER_PORT = 3478, 3479

TURND_CONF = """
listening-ip={first}
listening-ip={second}
listening-ip={first6}
listening-ip={second6}
listening-port={port}
alt-listening-port={other_port}
rfc5780
realm=lab.example
no-cli
"""


class Home:
    def __init__(self, name, number):
        self.name = name
        self.public = f"203.0.113.{100 + number}"
        self.transit = ipaddress.ip_address("198.51.100.0") + 4 * number
        self.inside = "192.168.1"
        self.address = f"{self.inside}.2"
        self.client = self.router = None


class Internet(netlab.Lab):
    def __init__(self):
        super().__init__()
        self.first, self.second = FIRST, SECOND
        self.homes = []
        self.folder = tempfile.TemporaryDirectory(prefix="natlab-")
        self.server = self.host("server")
        self.server.forward()
        self.server.run(["sh", "-ec", "".join(f"ip address add {a}/32 dev lo\n" for a in (FIRST, SECOND)) +
                         "".join(f"ip address add {a}/128 dev lo\n" for a in (FIRST6, SECOND6))])

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.folder.cleanup()

    # --- servers ---------------------------------------------------------------------------------------------------------

    def start_turnd(self, turnd, *options, behaviour=True):
        text = TURND_CONF.format(first=FIRST, second=SECOND, first6=FIRST6, second6=SECOND6, port=PORT, other_port=OTHER_PORT)
        if not behaviour:
            text = text.replace("rfc5780\n", "").replace(f"alt-listening-port={OTHER_PORT}\n", "")
        path = pathlib.Path(self.folder.name) / f"turnd-{behaviour}.conf"
        path.write_text(text)
        process = self.server.start([turnd, "-c", str(path), "--log-file", "stdout", "--pidfile", str(path) + ".pid", *options],
                                    env={**os.environ, "HOME": self.folder.name, "XDG_STATE_HOME": self.folder.name})
        self._await_port(PORT)
        return process

    def start_coturn(self):
        process = self.server.start(
            ["turnserver", "-n", "--no-tls", "--no-dtls", "--no-cli", "-S", "-L", FIRST, "-L", SECOND, "-p", str(PORT),
             "--alt-listening-port", str(OTHER_PORT), "--log-file", "stdout", "--simple-log", "--no-stdout-log",
             "--userdb", self.folder.name + "/db", "--pidfile", self.folder.name + "/coturn.pid"])
        self._await_port(PORT)
        self._await_port(OTHER_PORT)
        return process

    def _await_port(self, port):
        self.server.run(["sh", "-c", f"until grep -q ':{port:04X} ' /proc/net/udp; do sleep 0.01; done"], timeout=15)

    # --- homes -----------------------------------------------------------------------------------------------------------

    def home(self, name, translate, mtu=1500):
        """A client behind a router that translates as `translate(home)` sets it up."""
        home = Home(name, len(self.homes))
        self.homes.append(home)
        home.client, home.router = self.host(name), self.host(name + "-router")
        self.link(home.client, home.address + "/24", home.router, f"{home.inside}.1/24")  # eth0
        home.client.route_via(f"{home.inside}.1")
        self.uplink(home.router, home, mtu)
        translate(home)
        return home

    def uplink(self, router, home, mtu=1500):
        """The router's cable to the public side, which sends the home's public address there."""
        here, there = str(home.transit + 1), str(home.transit + 2)
        device = f"eth{router.devices}"
        self.link(router, here + "/30", self.server, there + "/30")
        router.forward()
        router.run(["sh", "-ec", f"ip link set {device} mtu {mtu}\nip route add default via {there}\n"
                    "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done"])
        self.server.run(["ip", "route", "add", home.public, "via", here])
        return device

    def home_behind(self, name, middle, translate, carrier):
        """A home whose router's outer network is `middle`.0/24, with the carrier's router at `middle`.1 before the public side."""
        home = Home(name, len(self.homes))
        self.homes.append(home)
        home.client, home.router, home.carrier = self.host(name), self.host(name + "-router"), self.host(name + "-carrier")
        self.link(home.client, home.address + "/24", home.router, f"{home.inside}.1/24")
        home.client.route_via(f"{home.inside}.1")
        self.link(home.router, f"{middle}.2/24", home.carrier, f"{middle}.1/24")
        home.router.forward()
        home.router.route_via(f"{middle}.1")
        self.uplink(home.carrier, home)
        translate(home)
        carrier(home)
        return home


# --- translations --------------------------------------------------------------------------------------------------------------


def none(home):
    """No NAT: the client's network is public."""


def source_nat(home, flags="", router=None, to=None, drop=True):
    """Linux: every 5-tuple has a mapping of its own; ports are kept where they can be, unless the flags say "random". Without
    `drop`, a packet that nobody asked for leaves an entry of connection tracking, which then takes its port."""
    router = router or home.router
    if to is None:
        router.run(["ip", "address", "add", home.public + "/32", "dev", "eth1"])
    router.nft(f"table ip nat {{ chain post {{ type nat hook postrouting priority 100\n"
               f'oifname "eth1" meta l4proto {{ tcp, udp, icmp }} snat to {to or home.public} {flags}\n }}\n }}')
    if drop:
        router.filter("input", 'iifname "eth1" meta l4proto { tcp, udp } ct state new drop')


def open_source_nat(home):
    source_nat(home, drop=False)


def random_source_nat(home):
    source_nat(home, "random")


def one_to_one(home):
    """Cloud style: all of one public address belongs to one host."""
    home.router.nft(f"table ip nat {{\nchain pre {{ type nat hook prerouting priority -100\nip daddr {home.public} dnat to {home.address}\n}}\n"
                    f"chain post {{ type nat hook postrouting priority 100\nip saddr {home.address} snat to {home.public}\n}}\n}}")


def stateful_firewall(router):
    router.nft('table inet fw { chain forward { type filter hook forward priority 0; policy drop;\n'
               'ct state established,related accept\niifname "eth0" accept\n}\n}')


def userspace(on="router", **options):
    """A NAT of RFC 4787's words: mapping and filtering "ei", "ad" or "apd", ports "keep", "row" or "random", lifetime, hairpin."""
    def translate(home):
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            raise PermissionError("cannot open /dev/net/tun")
        arguments = []
        for name, value in options.items():
            arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        router = getattr(home, on)
        router.start(["/usr/bin/python3", "-B", str(FOLDER / "userspace_nat.py"), "--public", home.public, "--inside", "eth0",
                      *arguments]).wait_for("ready")
    return translate
