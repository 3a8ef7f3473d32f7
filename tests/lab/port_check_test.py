#!/usr/bin/python3
"""turn-probe listen and turn-probe port across open, dropping, rejecting and lossy networks, and against netcat.

A client, a router and a server, each in a network namespace. Usage: port_check_test.py --list | --probe FILE SCENARIO...
"""

import json
import signal
import sys

import netlab

SERVER = "10.77.2.2"
SERVER6 = "fd77:2::2"
ROUTER = "10.77.1.1"
CLIENT = "10.77.1.2"
PASS, FAIL, USAGE, UNCONFIRMED, CANNOT_START = range(5)

SCENARIOS = {}
PROBE = None


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class World(netlab.Lab):
    """The three hosts, and the two ends of a check."""

    def __init__(self):
        super().__init__()
        self.client, self.router, self.server = (self.host(name) for name in ("client", "router", "server"))
        self.link(self.client, [CLIENT + "/24", "fd77:1::2/64"], self.router, [ROUTER + "/24", "fd77:1::1/64"])
        self.link(self.server, [SERVER + "/24", SERVER6 + "/64"], self.router, ["10.77.2.1/24", "fd77:2::1/64"])
        self.router.forward()
        self.client.route_via(ROUTER)
        self.client.route_via("fd77:1::1")
        self.server.route_via("10.77.2.1")
        self.server.route_via("fd77:2::1")

    def listen(self, *options):
        process = self.server.start([PROBE, "listen", *options])
        process.wait_for("Listening on")
        return process

    def check(self, *options, host=SERVER, probe_host=None):
        """Runs turn-probe port; returns its exit code and its checks by protocol."""
        done = (probe_host or self.client).run([PROBE, "port", host, "--json", "--wait", "1", *options], check=False)
        assert done.stdout, f"no output; exit code {done.returncode}, stderr {done.stderr!r}"
        report = json.loads(done.stdout)
        assert report["exit_code"] == done.returncode, report
        checks = {check["protocol"]: check for check in report["checks"]}
        return done.returncode, checks


def stop(listener):
    """Ends a listener as Ctrl-C does; returns its exit code and, if it printed JSON, its checks."""
    code = listener.finish(signal.SIGINT)
    return code, json.loads(listener.out)["checks"] if listener.out.startswith("{") else None


def expect(check, status, reason, **evidence):
    assert (check["status"], check["reason"]) == (status, reason), json.dumps(check, indent=1)
    for path, value in evidence.items():
        node = check["evidence"]
        for key in path.split("__"):
            node = node[key]
        assert node == value, f"{path} is {node!r}, not {value!r}: {json.dumps(check, indent=1)}"


def directions(to_server, to_client):
    return {"directions": {"client_to_server": to_server, "server_to_client": to_client}}


# --- open -----------------------------------------------------------------------------------------------------------------------


@scenario
def open_both():
    with World() as w:
        listener = w.listen("--json")
        code, checks = w.check()
        assert code == PASS, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "PASS", "both-directions", nat=False, **directions("works", "works"))
        expect(checks["UDP"], "PASS", "both-directions", sent=20, answered=20, server__received=20, server__sent=20)
        assert checks["UDP"]["evidence"]["rtt_ms"]["median"] > 0
        code, sources = stop(listener)
        assert code == PASS, sources
        udp = next(s for s in sources if s["protocol"] == "UDP")
        assert udp["evidence"]["received"] == 20 and udp["evidence"]["confirmed"] == 20, udp


@scenario
def open_ipv6():
    with World() as w:
        w.listen()
        code, checks = w.check(host=SERVER6)
        assert code == PASS, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "PASS", "both-directions", nat=False)
            assert checks[protocol]["family"] == "IPv6"


@scenario
def open_other_ports():
    with World() as w:
        w.listen("--udp=3478,5000", "--tcp=443")
        done = w.client.run([PROBE, "port", SERVER, "--udp=3478,5000", "--tcp", "443", "--json"], check=False)
        report = json.loads(done.stdout)
        assert done.returncode == PASS and [c["id"] for c in report["checks"]] == ["udp-3478-ipv4", "udp-5000-ipv4", "tcp-443-ipv4"], report


@scenario
def many_clients_at_once():
    with World() as w:
        listener = w.listen("--json")
        running = [w.client.start([PROBE, "port", SERVER, "--json"]) for _ in range(8)]
        for process in running:
            assert process.finish() == PASS, process.out
        code, sources = stop(listener)
        assert code == PASS and len([s for s in sources if s["protocol"] == "UDP" and s["status"] == "PASS"]) == 8, sources


@scenario
def nat_observed_address_differs():
    with World() as w:
        w.router.nft('table ip lab { chain post { type nat hook postrouting priority 100\n oifname "eth1" masquerade\n }\n }')
        w.listen()
        code, checks = w.check()
        assert code == PASS, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "PASS", "both-directions", nat=True)
            evidence = checks[protocol]["evidence"]
            assert evidence["observed_address"].startswith("10.77.2.1:"), evidence
            assert evidence["local_address"].startswith(CLIENT + ":"), evidence


# --- silence and drops ----------------------------------------------------------------------------------------------------------


@scenario
def udp_dropped_both_ways():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 drop")
        w.listen()
        code, checks = w.check("--udp")
        assert code == UNCONFIRMED, checks
        expect(checks["UDP"], "UNCONFIRMED", "silence", **directions("unknown", "unknown"))
        assert any("turn-probe listen" in command for command in checks["UDP"]["next"])


@scenario
def udp_silent_service():
    """Somebody has the port and ignores strangers, as rtcd does: never a success."""
    with World() as w:
        w.server.start(["python3", "-c", "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                        "s.bind(('',8443))\nprint('bound',flush=True)\ntime.sleep(60)"]).wait_for("bound")
        code, checks = w.check("--udp")
        assert code == UNCONFIRMED, checks
        expect(checks["UDP"], "UNCONFIRMED", "silence")


@scenario
def udp_client_to_server_dropped():
    with World() as w:
        w.router.filter("forward", "udp dport 8443 drop")
        listener = w.listen("--json")
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "client-to-server-dropped", server__received=0, server__told_over="TCP", **directions("fails", "unknown"))
        expect(checks["TCP"], "PASS", "both-directions")
        code, sources = stop(listener)
        assert code == FAIL and any(s["reason"] == "udp-client-to-server-dropped" for s in sources), sources


@scenario
def udp_client_to_server_dropped_ipv6():
    with World() as w:
        w.router.filter("forward", "udp dport 8443 drop")
        w.listen()
        code, checks = w.check(host=SERVER6)
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "client-to-server-dropped", **directions("fails", "unknown"))


@scenario
def udp_server_to_client_dropped():
    with World() as w:
        w.router.filter("forward", "udp sport 8443 drop")
        listener = w.listen()
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "server-to-client-dropped", server__received=20, server__sent=20, answered=0, **directions("works", "fails"))
        # The server's screen says the same.
        listener.wait_for("server->client is dropped")
        code, _ = stop(listener)
        assert code == FAIL, listener.out


@scenario
def udp_server_to_client_dropped_alone():
    """Only UDP was asked for: the client still asks over TCP on the same port."""
    with World() as w:
        w.router.filter("forward", "udp sport 8443 drop")
        w.listen()
        code, checks = w.check("--udp")
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "server-to-client-dropped", server__told_over="TCP")


@scenario
def udp_server_refuses_to_send():
    with World() as w:
        w.server.filter("output", "udp sport 8443 drop")
        listener = w.listen("--json")
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "server-refuses-to-send", server__received=20, server__sent=0, **directions("works", "fails"))
        code, sources = stop(listener)
        assert code == FAIL and any(s["reason"] == "send-refused" for s in sources), sources


@scenario
def udp_own_firewall():
    with World() as w:
        w.client.filter("output", "udp dport 8443 drop")
        w.listen()
        code, checks = w.check("--udp")
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "own-system-refuses", sent=0)


@scenario
def udp_asked_over_another_udp_port():
    """TCP is closed to the client, UDP 8443 is dropped, but another UDP port works."""
    with World() as w:
        w.router.filter("forward", "udp dport 8443 drop", "meta l4proto tcp drop")
        w.listen("--udp=8443,3478")
        code, checks = w.check("--udp=3478,8443")
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "client-to-server-dropped", server__told_over="UDP")


@scenario
def udp_not_listening_there():
    with World() as w:
        w.router.filter("forward", "icmp type destination-unreachable drop")
        w.listen("--udp=3478", "--tcp=8443")
        code, checks = w.check()
        assert code == UNCONFIRMED, checks
        expect(checks["UDP"], "UNCONFIRMED", "listener-on-other-port", server__listening=False)


@scenario
def tcp_dropped_both_ways():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 drop")
        w.listen()
        code, checks = w.check("--tcp")
        assert code == FAIL, checks
        expect(checks["TCP"], "FAIL", "no-answer", **directions("unknown", "unknown"))


@scenario
def tcp_client_to_server_dropped():
    with World() as w:
        w.router.filter("forward", "tcp dport 8443 drop")
        listener = w.listen("--json")
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["TCP"], "FAIL", "client-to-server-dropped", server__half_open=0, **directions("fails", "unknown"))
        expect(checks["UDP"], "PASS", "both-directions")
        code, sources = stop(listener)
        assert code == FAIL and any(s["reason"] == "tcp-client-to-server-dropped" for s in sources), sources


@scenario
def tcp_server_to_client_dropped():
    with World() as w:
        w.router.filter("forward", "tcp sport 8443 drop")
        listener = w.listen()
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["TCP"], "FAIL", "server-to-client-dropped", **directions("works", "fails"))
        assert checks["TCP"]["evidence"]["server"]["half_open"] >= 1
        listener.wait_for("TCP 8443 from " + CLIENT + ": connection requests arrive, but")


@scenario
def tcp_server_to_client_dropped_ipv6():
    with World() as w:
        w.router.filter("forward", "tcp sport 8443 drop")
        w.listen()
        code, checks = w.check("--tcp", host=SERVER6)
        assert code == FAIL, checks
        expect(checks["TCP"], "FAIL", "server-to-client-dropped", server__told_over="UDP")


# --- rejects --------------------------------------------------------------------------------------------------------------------


@scenario
def nothing_listens():
    with World() as w:
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "closed", **directions("fails", "unknown"))
        expect(checks["TCP"], "FAIL", "refused")


@scenario
def nothing_listens_ipv6():
    with World() as w:
        code, checks = w.check(host=SERVER6)
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "closed")
        expect(checks["TCP"], "FAIL", "refused")


@scenario
def rejected_by_the_host():
    with World() as w:
        w.server.filter("input", "udp dport 8443 reject with icmpx port-unreachable", "tcp dport 8443 reject with tcp reset")
        w.listen()
        code, checks = w.check()
        assert code == FAIL, checks
        expect(checks["UDP"], "FAIL", "closed")
        expect(checks["TCP"], "FAIL", "refused")
        assert f"port unreachable from {SERVER}" in checks["UDP"]["evidence"]["icmp"][0], checks["UDP"]


@scenario
def rejected_by_a_router():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 reject with icmpx port-unreachable")
        w.listen()
        code, checks = w.check()
        assert code == FAIL, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "FAIL", "rejected")
            assert ROUTER in checks[protocol]["headline"], checks[protocol]


@scenario
def prohibited_by_a_router():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 reject with icmpx admin-prohibited")
        w.listen()
        code, checks = w.check()
        assert code == FAIL, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "FAIL", "prohibited")
            assert ROUTER in checks[protocol]["headline"], checks[protocol]


@scenario
def prohibited_by_a_router_ipv6():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 reject with icmpx admin-prohibited")
        w.listen()
        code, checks = w.check(host=SERVER6)
        assert code == FAIL, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "FAIL", "prohibited")


@scenario
def no_route_from_a_router():
    with World() as w:
        code, checks = w.check(host="192.0.2.77")
        assert code == FAIL, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "FAIL", "network-unreachable")


@scenario
def no_route_here():
    with World() as w:
        w.client.run(["ip", "route", "del", "default"])
        code, checks = w.check()
        assert code == FAIL, checks
        for protocol in ("UDP", "TCP"):
            expect(checks[protocol], "FAIL", "no-route")


# --- loss -----------------------------------------------------------------------------------------------------------------------


@scenario
def loss_client_to_server():
    with World() as w:
        w.router.filter("forward", "udp dport 8443 numgen inc mod 10 < 3 drop")
        w.listen()
        code, checks = w.check("--udp", "--count", "40", "--interval", "5")
        assert code == PASS, checks
        expect(checks["UDP"], "WARN", "loss", server__received=28, answered=28, loss_percent__client_to_server=30.0, loss_percent__server_to_client=0.0)


@scenario
def loss_server_to_client():
    with World() as w:
        w.router.filter("forward", "udp sport 8443 numgen inc mod 10 < 3 drop")
        w.listen()
        code, checks = w.check("--udp", "--count", "40", "--interval", "5")
        assert code == PASS, checks
        expect(checks["UDP"], "WARN", "loss", server__received=40, server__sent=40, answered=28, loss_percent__client_to_server=0.0, loss_percent__server_to_client=30.0)


# --- other programs at the far end ----------------------------------------------------------------------------------------------


@scenario
def netcat_says_succeeded_where_nothing_arrives():
    with World() as w:
        w.router.filter("forward", "meta l4proto { tcp, udp } th dport 8443 drop")
        w.listen()
        netcat = w.client.run(["nc", "-v", "-u", "-z", "-w", "1", SERVER, "8443"], check=False)
        assert netcat.returncode == 0 and "succeeded" in netcat.stderr, netcat  # false
        code, checks = w.check("--udp")
        assert code == UNCONFIRMED, checks
        expect(checks["UDP"], "UNCONFIRMED", "silence")


@scenario
def netcat_listens_udp():
    with World() as w:
        netcat = w.server.start(["nc", "-l", "-u", "-p", "8443"])
        w.server.run(["sh", "-c", "until grep -q ':20FB ' /proc/net/udp; do sleep 0.01; done"])
        probe = w.client.start([PROBE, "port", SERVER, "--udp", "--json", "--wait", "10"])
        netcat.wait_for("turn-probe checks UDP 8443")
        netcat.type("yes, I can read you\n")
        assert probe.finish() == PASS, probe.out
        check = json.loads(probe.out)["checks"][0]
        expect(check, "PASS", "text-answer", **directions("works", "works"))
        assert "yes, I can read you" in check["evidence"]["other_data"]["excerpt"]


@scenario
def netcat_listens_udp_silent():
    with World() as w:
        w.server.start(["nc", "-l", "-u", "-p", "8443"])
        w.server.run(["sh", "-c", "until grep -q ':20FB ' /proc/net/udp; do sleep 0.01; done"])
        code, checks = w.check("--udp")
        assert code == UNCONFIRMED, checks
        expect(checks["UDP"], "UNCONFIRMED", "silence")


@scenario
def netcat_listens_tcp():
    with World() as w:
        netcat = w.server.start(["nc", "-l", "-p", "8443"])
        w.server.run(["sh", "-c", "until grep -q ':20FB ' /proc/net/tcp; do sleep 0.01; done"])
        probe = w.client.start([PROBE, "port", SERVER, "--tcp", "--json", "--wait", "10"])
        netcat.wait_for("turn-probe checks TCP 8443")
        netcat.type("hello over there\n")
        assert probe.finish() == PASS, probe.out
        expect(json.loads(probe.out)["checks"][0], "PASS", "text-answer", **directions("works", "works"))


@scenario
def netcat_listens_tcp_silent():
    with World() as w:
        w.server.start(["nc", "-l", "-p", "8443"])
        w.server.run(["sh", "-c", "until grep -q ':20FB ' /proc/net/tcp; do sleep 0.01; done"])
        code, checks = w.check("--tcp")
        assert code == UNCONFIRMED, checks
        expect(checks["TCP"], "UNCONFIRMED", "connected-silent", acknowledged=True)


def netcat_talks(udp):
    with World() as w:
        listener = w.listen()
        netcat = w.client.start(["nc", *(["-u"] if udp else []), SERVER, "8443"])
        netcat.type("hello from netcat\n")
        netcat.wait_for("hello from netcat")  # the listener sends the line back
        listener.wait_for('says "hello from netcat"')
        netcat.kill()
        code, _ = stop(listener)
        assert code == (UNCONFIRMED if udp else PASS), listener.out


@scenario
def netcat_talks_udp():
    netcat_talks(udp=True)


@scenario
def netcat_talks_tcp():
    netcat_talks(udp=False)


SERVICE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 8443))
print('bound', flush=True)
while True:
    data, peer = s.recvfrom(2048)
    answer = {answer}
    if answer: s.sendto(answer, peer)
"""


def udp_service(answer, reason):
    with World() as w:
        w.server.start(["python3", "-c", SERVICE.format(answer=answer)]).wait_for("bound")
        code, checks = w.check("--udp")
        assert code == PASS, checks
        expect(checks["UDP"], "WARN", reason, **directions("works", "works"))


@scenario
def echo_service_answers():
    udp_service("data", "echo-service")


@scenario
def stun_server_answers():
    udp_service(r"b'\x01\x01\x00\x00' + data[4:20] if data[:2] == b'\x00\x01' else b''", "stun-server")


@scenario
def rtcd_like_ice_tcp():
    """Keeps a framed Binding request waiting, closes on a frame length above 512: what pion's TCP mux does."""
    with World() as w:
        w.server.start(["python3", "-c", """
import socket
s = socket.create_server(('', 8443))
print('bound', flush=True)
while True:
    c, _ = s.accept()
    while True:
        head = c.recv(2, socket.MSG_WAITALL)
        if len(head) < 2 or int.from_bytes(head, 'big') > 512: break
        c.recv(int.from_bytes(head, 'big'), socket.MSG_WAITALL)
    c.close()
"""]).wait_for("bound")
        code, checks = w.check("--tcp")
        assert code == PASS, checks
        expect(checks["TCP"], "PASS", "reacts-like-ice-tcp")


@scenario
def port_has_an_owner():
    with World() as w:
        for protocol, kind in (("UDP", "SOCK_DGRAM"), ("TCP", "SOCK_STREAM")):
            # Its own SO_REUSEPORT must not make room for us: the answers would go to either of the two.
            owner = w.server.start(["python3", "-c", f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.{kind})
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.bind(('{SERVER}', 8443))
if {kind == "SOCK_STREAM"}: s.listen()
print('bound', flush=True)
time.sleep(60)"""])
            owner.wait_for("bound")
            done = w.server.run([PROBE, "listen", "--" + protocol.lower(), "--for", "5"], check=False)
            assert done.returncode == CANNOT_START, done
            assert f"{protocol} 8443 is in use by python3 (pid " in done.stderr and f"bound to {SERVER}:8443" in done.stderr, done.stderr
            owner.kill()


@scenario
def listener_that_nobody_reaches():
    with World() as w:
        done = w.server.run([PROBE, "listen", "--for", "1", "--json"], check=False)
        assert done.returncode == UNCONFIRMED, done
        check = json.loads(done.stdout)["checks"][0]
        assert check["reason"] == "nothing-arrived" and f"turn-probe port {SERVER}" in check["next"], check


@scenario
def unknown_host_and_wrong_usage():
    with World() as w:
        quick = ["env", "RES_OPTIONS=timeout:1 attempts:1"]
        assert w.client.run([*quick, PROBE, "port", "no-such-host.invalid"], check=False).returncode == CANNOT_START
        assert w.client.run([PROBE, "port"], check=False).returncode == USAGE
        assert w.client.run([PROBE, "port", SERVER, "--udp=70000"], check=False).returncode == USAGE


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) >= 2 and arguments[0] == "--probe":
        PROBE = arguments[1]
        arguments = arguments[2:]
    sys.exit(netlab.main(SCENARIOS, lambda run: run(), arguments))
