#!/usr/bin/python3
"""turn-probe nat behind NATs of every kind: it names what is there, and claims nothing that it cannot know.

Usage: nat_test.py --list | --probe FILE --turnd FILE SCENARIO...
"""

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import natlab
import netlab

PASS, FAIL, USAGE, UNCONFIRMED, CANNOT_START = range(5)
EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
LONG = {"ei": EI, "ad": AD, "apd": APD}

SCENARIOS = {}
PROBE = TURND = None


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class Finding:
    """What turn-probe nat printed, by check."""

    def __init__(self, home, server, *options):
        self.home = home
        done = home.client.run([PROBE, "nat", server, "--json", *options], check=False, timeout=60)
        assert done.stdout, f"{home.name}: no output; exit code {done.returncode}, stderr {done.stderr!r}"
        self.report = json.loads(done.stdout)
        self.code = done.returncode
        assert self.report["exit_code"] == self.code, self.report
        self.checks = {check["id"].removeprefix("nat-").removesuffix("-ipv4"): check for check in self.report["checks"]}

    def expect(self, name, status=None, reason=None, confidence=None, **evidence):
        check = self.checks.get(name)
        assert check is not None, f"{self.home.name}: no check {name}: {list(self.checks)}"
        seen = (check["status"], check["reason"], check["confidence"])
        for wanted, is_ in zip((status, reason, confidence), seen):
            wanted = (wanted,) if isinstance(wanted, (str, type(None))) else wanted
            assert wanted == (None,) or is_ in wanted, f"{self.home.name}: {name} is {seen}, not {(status, reason, confidence)}: {json.dumps(check, indent=1)}"
        for key, value in evidence.items():
            assert check["evidence"][key] == value, f"{self.home.name}: {key} is not {value!r}: {json.dumps(check, indent=1)}"
        return check

    def behaves(self, mapping, filtering, classical):
        self.expect("mapping", behaviour=mapping)
        self.expect("filtering", behaviour=filtering)
        self.expect("meaning", classical=classical)


def find_all(*plans):
    """Runs each (home, server, options...) at the same time; their findings in that order."""
    with ThreadPoolExecutor(len(plans)) as pool:
        return list(pool.map(lambda plan: Finding(*plan), plans))


CLASSICAL = {("ei", "ei"): "full cone", ("ei", "ad"): "restricted cone", ("ei", "apd"): "port restricted cone"}


@scenario
def every_mapping_with_every_filtering():
    pairs = [(mapping, filtering) for mapping in LONG for filtering in LONG]
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        homes = [net.home(f"{m}-{f}", natlab.userspace(mapping=m, filtering=f)) for m, f in pairs]
        for (mapping, filtering), found in zip(pairs, find_all(*((home, net.first) for home in homes))):
            assert found.code == PASS, found.report
            found.behaves(LONG[mapping], LONG[filtering], CLASSICAL.get((mapping, filtering), "symmetric"))
            found.expect("presence", "PASS", "nat", local_address=found.checks["presence"]["evidence"]["local_address"])
            assert found.checks["presence"]["evidence"]["mapped_address"].startswith(found.home.public + ":")
            # With a mapping for each destination nothing proves that the server sends from its other address.
            found.expect("filtering", "PASS", confidence="high" if "ei" in (mapping, filtering) else "medium")
            found.expect("mapping", "PASS" if mapping == "ei" else "WARN", confidence="high")
            found.expect("ports", "PASS", "changed")
            peers = found.checks["meaning"]["evidence"]["peer_to_peer"]
            direct_with_symmetric = mapping == "ei" and filtering != "apd"
            assert peers["symmetric"] == ("direct" if direct_with_symmetric else "relay"), peers
            assert peers["port_restricted_cone"] == ("direct" if mapping == "ei" else "relay"), peers
            server = found.checks["meaning"]["evidence"]["media_server"]
            assert ("no address that a STUN server tells is right" in server) == (mapping != "ei"), server


@scenario
def linux_one_to_one_and_no_nat():
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        linux = net.home("linux", natlab.source_nat)
        careless = net.home("careless", natlab.open_source_nat)
        random = net.home("random", natlab.random_source_nat)
        cloud = net.home("cloud", natlab.one_to_one)
        guarded = net.home("guarded-cloud", natlab.one_to_one)
        natlab.stateful_firewall(guarded.router)
        plain, firewall = net.home("plain", natlab.none), net.home("firewall", natlab.none)
        for home in (plain, firewall):  # the client has the public address itself
            home.client.run(["ip", "address", "replace", home.public + "/32", "dev", "eth0"])
            home.router.run(["ip", "route", "add", home.public, "via", home.address])
        natlab.stateful_firewall(firewall.router)
        linux, careless, random, cloud, guarded, plain, firewall = find_all(
            (linux, net.first), (careless, net.first), (random, net.first), (cloud, net.first), (guarded, net.first),
            (plain, net.first, "--local", plain.public), (firewall, net.first, "--local", firewall.public))
        # Linux maps by destination but keeps ports, so the mapping only looks independent.
        linux.behaves(EI, APD, "port restricted cone")
        linux.expect("mapping", "PASS", EI, "medium")
        linux.expect("ports", "PASS", "kept")
        assert "one-to-one" not in linux.checks["presence"]["headline"].lower()
        # Where it lets unasked packets leave traces, it shows.
        careless.behaves(APD, APD, "symmetric")
        careless.expect("mapping", "WARN", "keeps-ports-while-it-can", "medium")
        careless.expect("filtering", "PASS", APD, "medium")
        random.behaves(APD, APD, "symmetric")
        random.expect("ports", "PASS", "changed")
        cloud.behaves(EI, EI, "one-to-one NAT (full cone)")
        cloud.expect("presence", "PASS", "one-to-one-nat", ("low", "medium"))
        assert f"ICE Host Override to {cloud.home.public}" in cloud.checks["meaning"]["evidence"]["media_server"]
        # The same with a firewall looks like any NAT that keeps ports, and must not be called more.
        guarded.behaves(EI, APD, "port restricted cone")
        guarded.expect("presence", "PASS", "nat")
        for found, filtering, name in ((plain, EI, "open Internet"), (firewall, APD, "firewall without NAT")):
            found.expect("presence", "PASS", "no-nat", "high")
            found.expect("filtering", "PASS", filtering, "high")
            found.expect("meaning", classical=name)
            assert "mapping" not in found.checks and "layers" not in found.checks
        for found in (linux, careless, random, cloud, guarded, plain, firewall):
            assert found.code == PASS, found.report


@scenario
def several_nats_in_a_row():
    with natlab.Internet() as net:
        net.start_turnd(TURND)

        def home_nat(middle):
            return lambda home: natlab.source_nat(home, to=f"{middle}.2")

        def carrier_nat(home):
            natlab.source_nat(home, "random", router=home.carrier)

        def routed(home):
            home.carrier.run(["ip", "route", "add", "192.168.1.0/24", "via", "10.0.7.2"])

        carrier = net.home_behind("carrier", "100.64.7", home_nat("100.64.7"), carrier_nat)
        full_cone = net.home_behind("full-cone-carrier", "100.64.7", home_nat("100.64.7"),
                                    natlab.userspace(on="carrier", mapping="ei", filtering="ei"))
        double = net.home_behind("double", "10.0.7", home_nat("10.0.7"), carrier_nat)
        office = net.home_behind("office", "10.0.7", routed, carrier_nat)  # one NAT, a routed network inside
        one = net.home("one", natlab.source_nat)
        hidden = net.home("hidden", natlab.source_nat)
        hidden.router.filter("output", "icmp type time-exceeded drop")
        carrier, full_cone, double, office, one, hidden = find_all(
            *((home, net.first) for home in (carrier, full_cone, double, office, one, hidden)))
        for found in (carrier, full_cone):
            found.expect("layers", "WARN", "carrier-grade-nat")
            assert "carrier has a NAT of its own" in found.checks["meaning"]["evidence"]["media_server"], found.report
        carrier.behaves(APD, APD, "symmetric")
        # The strictest of the two counts, and what it is behind is nobody's to see.
        full_cone.behaves(EI, APD, "port restricted cone")
        for found in (double, office):  # from inside they are one
            found.expect("layers", "WARN", "double-nat-possible", "low")
        one.expect("layers", "PASS", "one-nat-seen", "low")
        hidden.expect("layers", "SKIP", "path-not-seen")


@scenario
def udp_that_does_not_get_through():
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        no_udp = net.home("no-udp", natlab.source_nat)
        no_udp.router.filter("forward", "meta l4proto udp drop")
        nothing = net.home("nothing", natlab.source_nat)
        nothing.router.filter("forward", "drop")
        rejected = net.home("rejected", natlab.source_nat)
        rejected.router.filter("forward", "meta l4proto udp reject with icmpx admin-prohibited")
        no_udp, nothing, rejected = find_all(*((home, net.first) for home in (no_udp, nothing, rejected)))
        assert no_udp.code == FAIL and nothing.code == UNCONFIRMED and rejected.code == FAIL
        no_udp.expect("udp", "FAIL", "udp-blocked", "medium")
        nothing.expect("udp", "UNCONFIRMED", "no-answer", "low")
        rejected.expect("udp", "FAIL", "prohibited")
        for found in (no_udp, nothing, rejected):
            assert len(found.checks) == 1, found.report


@scenario
def servers_of_one_address():
    """What one of them shows is too little for a name; two show whether mappings depend on the destination, no more."""
    with natlab.Internet() as net:
        net.start_turnd(TURND, behaviour=False)
        cone = net.home("cone", natlab.userspace(mapping="ei", filtering="apd"))
        keeping = net.home("keeping", natlab.source_nat)
        symmetric = net.home("symmetric", natlab.random_source_nat)
        alone, cone, keeping, symmetric = find_all((symmetric, net.first), (cone, net.first, net.second),
                                                   (keeping, net.first, net.second), (symmetric, net.first, net.second))
        assert alone.code == UNCONFIRMED, alone.report
        alone.expect("mapping", "UNCONFIRMED", "no-other-address")
        alone.expect("filtering", "UNCONFIRMED", "no-other-address")
        alone.expect("meaning", "UNCONFIRMED", classical="")
        cone.expect("mapping", "PASS", EI, "medium")
        keeping.expect("mapping", "PASS", EI, "low")
        symmetric.expect("mapping", "WARN", "depends-on-destination", behaviour="unknown")
        symmetric.expect("meaning", classical="symmetric")
        for found in (cone, keeping, symmetric):
            found.expect("filtering", "UNCONFIRMED", "no-other-address")
            assert found.code == UNCONFIRMED, found.report


@scenario
def a_server_whose_other_address_is_dead():
    """The server promises another address that nobody reaches: nothing may be concluded from that silence."""
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        home = net.home("home", natlab.userspace(mapping="ei", filtering="ei"))
        net.server.filter("input", f"ip daddr {net.second} drop")
        net.server.filter("output", f"ip saddr {net.second} drop")
        found = Finding(home, net.first)
        found.expect("filtering", "UNCONFIRMED", "other-address-silent")
        found.expect("mapping", "UNCONFIRMED", "other-address-silent")
        assert found.code == UNCONFIRMED, found.report


@scenario
def lifetime_and_hairpin():
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        short = net.home("short", natlab.userspace(mapping="ei", filtering="apd", lifetime=3, hairpin=True))
        linux = net.home("linux", natlab.source_nat)
        linux.router.run(["sh", "-c", "echo 3 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout"])
        long = net.home("long", natlab.userspace(mapping="apd", filtering="apd", ports="row"))
        short, linux, long = find_all(*((home, net.first, "--lifetime", "6", "--hairpin") for home in (short, linux, long)))
        short.expect("lifetime", "WARN", "short")
        assert 2 <= short.checks["lifetime"]["evidence"]["alive_after_s"] < 3 < short.checks["lifetime"]["evidence"]["gone_after_s"] < 6
        linux.expect("lifetime", "WARN", "short")
        assert linux.checks["lifetime"]["evidence"]["alive_after_s"] < 3 < linux.checks["lifetime"]["evidence"]["gone_after_s"] < 6
        long.expect("lifetime", "PASS", "longer-than-tested", limit_s=6)
        short.expect("hairpin", "PASS", "external-source")
        for found in (linux, long):
            found.expect("hairpin", "WARN", "none")


@scenario
def packet_sizes():
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        tunnel = net.home("tunnel", natlab.source_nat, mtu=1400)
        hole = net.home("black-hole", natlab.source_nat, mtu=1250)
        hole.router.filter("output", "icmp type destination-unreachable drop")
        plain = net.home("plain", natlab.source_nat)
        tunnel, hole, plain = find_all(*((home, net.first) for home in (tunnel, hole, plain)))
        tunnel.expect("size", "PASS", "enough", "high", largest_sent=1400, smallest_lost=1460, refused_by="192.168.1.1")
        hole.expect("size", "WARN", "small", "low", largest_sent=1200, smallest_lost=1280)
        plain.expect("size", "PASS", "enough", "high", largest_sent=1500)


@scenario
def loss():
    """Losses make findings unknown, never wrong."""
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        pairs = [("ei", "ei"), ("ei", "apd"), ("apd", "apd")]
        homes = [net.home(f"{m}-{f}", natlab.userspace(mapping=m, filtering=f)) for m, f in pairs]
        for home in homes:
            home.client.filter("input", "udp sport { 3478, 3479 } numgen inc mod 6 == 0 drop")
        for (mapping, filtering), found in zip(pairs, find_all(*((home, net.first) for home in homes))):
            assert found.code in (PASS, UNCONFIRMED), found.report
            assert found.checks["mapping"]["evidence"]["behaviour"] in (LONG[mapping], "unknown"), found.report
            assert found.checks["filtering"]["evidence"]["behaviour"] in (LONG[filtering], "unknown"), found.report


@scenario
def ipv6():
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        home = net.home("six", natlab.source_nat)
        home.client.run(["ip", "address", "add", "2001:db8:6::2/64", "dev", "eth0"])
        home.router.run(["sh", "-ec", "ip address add 2001:db8:6::1/64 dev eth0\nip address add 2001:db8:7::1/64 dev eth1\n"
                         "ip route add default via 2001:db8:7::2"])
        net.server.run(["sh", "-ec", "ip address add 2001:db8:7::2/64 dev eth0\nip route add 2001:db8:6::/64 via 2001:db8:7::1"])
        home.client.route_via("2001:db8:6::1")
        natlab.stateful_firewall(home.router)
        six = Finding(home, natlab.FIRST6)
        six.checks = {name.removesuffix("-ipv6"): check for name, check in six.checks.items()}
        assert six.code == PASS, six.report
        six.expect("presence", "PASS", "no-nat", "high", mapped_address=six.checks["presence"]["evidence"]["local_address"])
        six.expect("filtering", "PASS", APD, "high")
        six.expect("meaning", classical="firewall without NAT")
        six.expect("size", "PASS", "enough", "high", largest_sent=1500)
        # Both families by name: what one of them shows does not colour the other.
        done = home.client.run([PROBE, "nat", natlab.FIRST6, natlab.FIRST, "--json"], check=False)
        checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
        assert checks["nat-presence-ipv4"]["reason"] == "nat" and checks["nat-presence-ipv6"]["reason"] == "no-nat", checks


@scenario
def coturn_on_two_addresses():
    if shutil.which("turnserver") is None:
        raise FileNotFoundError("no turnserver")
    with natlab.Internet() as net:
        net.start_coturn()
        cone = net.home("cone", natlab.userspace(mapping="ei", filtering="ad", lifetime=3))
        symmetric = net.home("symmetric", natlab.random_source_nat)
        cone, symmetric = find_all((cone, net.first, "--lifetime", "6"), (symmetric, net.first))
        cone.behaves(EI, AD, "restricted cone")
        cone.expect("lifetime", "WARN", "short")
        symmetric.behaves(APD, APD, "symmetric")


@scenario
def coturns_natdiscovery_agrees():
    if shutil.which("turnutils_natdiscovery") is None:
        raise FileNotFoundError("no turnutils_natdiscovery")
    # Not address-dependent mapping: it compares A2:P1 with A1:P2 then, which says address-and-port-dependent.
    pairs = [("ei", "ei"), ("ei", "ad"), ("ei", "apd"), ("apd", "apd")]
    with natlab.Internet() as net:
        net.start_turnd(TURND)
        homes = [net.home(f"{m}-{f}", natlab.userspace(mapping=m, filtering=f)) for m, f in pairs]
        theirs = [home.client.start(["turnutils_natdiscovery", "-m", "-f", "-L", home.address, net.first]) for home in homes]
        for process, found in zip(theirs, find_all(*((home, net.first) for home in homes))):
            process.finish()
            said = dict(reversed(line.removeprefix("NAT with ").rstrip("!").rsplit(" ", 1))
                        for line in process.out.splitlines() if line.startswith("NAT with "))
            for name in ("Mapping", "Filtering"):
                ours = found.checks[name.lower()]["evidence"]["behaviour"]
                assert said[name].lower().replace(" ", "-") == ours, f"{found.home.name}: {said} but {ours}: {process.out}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    while len(arguments) >= 2 and arguments[0] in ("--probe", "--turnd"):
        if arguments[0] == "--probe":
            PROBE = arguments[1]
        else:
            TURND = arguments[1]
        arguments = arguments[2:]
    sys.exit(netlab.main(SCENARIOS, lambda run: run(), arguments))
