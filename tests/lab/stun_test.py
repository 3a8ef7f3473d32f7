#!/usr/bin/python3
"""turn-probe stun (and nat) against good servers over every transport, bad servers of every kind, and names in DNS.

Everything is on the loopback of one namespace. Usage: stun_test.py --list | --probe FILE --turnd FILE SCENARIO...
"""

import json
import os
import pathlib
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import natlab
import netlab
import odd_stun_server

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop" / "lib"))
import certificates  # noqa: E402

PASS, FAIL, USAGE, UNCONFIRMED, CANNOT_START = range(5)
HOST, OTHER = "127.0.0.10", "127.0.0.11"

SCENARIOS = {}
PROBE = TURND = None


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


class World(netlab.Lab):
    """One host whose resolver is the DNS server of odd_stun_server.py."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="stunlab-")
        self.here = self.host("here")
        self.resolv = pathlib.Path(self.folder.name) / "resolv.conf"
        self.resolv.write_text(f"nameserver {HOST}\noptions timeout:1 attempts:1\n")
        script = natlab.FOLDER / "odd_stun_server.py"
        self.here.start(["/usr/bin/python3", "-B", str(script), HOST, OTHER, "--dns"]).wait_for("ready")

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.folder.cleanup()

    def start_turnd(self, *options):
        path = pathlib.Path(self.folder.name) / "turnd.conf"
        path.write_text(f"listening-ip={HOST}\nlistening-ip={OTHER}\nalt-listening-port=3479\nrfc5780\nrealm=lab.example\nno-cli\n")
        process = self.here.start([TURND, "-c", str(path), "--log-file", "stdout", "--pidfile", str(path) + ".pid", *options],
                                  env={**os.environ, "HOME": self.folder.name, "XDG_STATE_HOME": self.folder.name})
        self.here.run(["sh", "-c", "until grep -q ':0D96 ' /proc/net/udp && grep -q ':0D96 ' /proc/net/tcp; do sleep 0.01; done"], timeout=15)
        return process

    def probe(self, *arguments):
        """The CompletedProcess, with that resolv.conf in place of the system's."""
        command = f'mount --bind {self.resolv} /etc/resolv.conf && exec "$@"'
        return self.here.run(["unshare", "--mount", "sh", "-c", command, "sh", PROBE, *arguments], check=False, timeout=60)

    def checks(self, command, *arguments):
        """Exit code and checks."""
        done = self.probe(command, *arguments, "--json")
        assert done.stdout, f"{arguments}: no output; exit code {done.returncode}, stderr {done.stderr!r}"
        report = json.loads(done.stdout)
        assert report["exit_code"] == done.returncode, report
        return done.returncode, report["checks"]

    def all_checks(self, command, *argument_lists):
        with ThreadPoolExecutor(len(argument_lists)) as pool:
            return list(pool.map(lambda arguments: self.checks(command, *arguments), argument_lists))


def expect(check, status, reason):
    assert (check["status"], check["reason"]) == (status, reason), json.dumps(check, indent=1)


@scenario
def every_transport_of_turnd():
    with World() as w:
        authority = certificates.Authority(w.folder.name)
        w.start_turnd(*authority.issue("good.example", ()).options())
        code, checks = w.checks("stun", "good.example", "--transport", "all", "--ca-file", authority.cert, "-n", "3", "--attributes")
        assert code == PASS and len(checks) == 4, checks
        for check, transport in zip(checks, ("UDP", "TCP", "TLS", "DTLS")):
            expect(check, "PASS", "answered")
            evidence = check["evidence"]
            assert check["protocol"] == transport and check["id"] == f"stun-{transport.lower()}-ipv4", check
            assert evidence["xor_mapped_address"] == evidence["local_address"] and not evidence["nat"], check
            assert evidence["requests"] == {"sent": 3, "answered": 3, "answered_at_once": 3, "most_sends": 1}, check
            assert evidence["rtt_ms"]["min"] > 0 and any("XOR-MAPPED-ADDRESS" in a for a in evidence["attributes"]), check
            assert ("protection" in evidence) == (transport in ("TLS", "DTLS")), check
        # The certificate is for another name; without the check it passes.
        for extra, wanted in (((), FAIL), (("--insecure",), PASS)):
            code, checks = w.checks("stun", "plain.example", "--transport", "tls,dtls", "--ca-file", authority.cert, "--fast", *extra)
            assert code == wanted, checks
            for check in checks:
                expect(check, *(("PASS", "answered") if extra else ("FAIL", "handshake-failed")))


BAD = {
    "silent": (FAIL, "FAIL", "no-answer"),
    "garbage": (FAIL, "FAIL", "not-a-stun-server"),
    "echo": (FAIL, "FAIL", "not-a-stun-server"),
    "elsewhere": (PASS, "WARN", "answered-by-another-address"),
    "refuses_420": (FAIL, "FAIL", "error-420"),
    "refuses_401": (FAIL, "FAIL", "error-401"),
    "old": (PASS, "WARN", "mapped-address-only"),
    "rewritten": (PASS, "WARN", "address-rewritten"),
    "loses_first": (PASS, "WARN", "retransmissions-needed"),
    "bad_fingerprint": (FAIL, "FAIL", "bad-fingerprint"),
    "redirects": (FAIL, "FAIL", "error-300"),
    "no_address": (FAIL, "FAIL", "no-mapped-address"),
    "stranger": (FAIL, "FAIL", "not-a-stun-server"),
    "truncated": (FAIL, "FAIL", "not-a-stun-server"),
    "huge": (PASS, "PASS", "answered"),
}


@scenario
def bad_servers_over_udp():
    with World() as w:
        found = w.all_checks("stun", *((f"{HOST}:{odd_stun_server.UDP[name]}", "--fast", "-n", "2") for name in BAD))
        by_name = dict(zip(BAD, found))
        for name, (code, checks) in by_name.items():
            wanted, status, reason = BAD[name]
            assert code == wanted, (name, checks)
            expect(checks[0], status, reason)
            text = json.dumps(checks, ensure_ascii=False)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), name  # nothing of theirs reaches a terminal as it is
        assert OTHER in " ".join(by_name["elsewhere"][1][0]["details"])
        assert "FINGERPRINT" in " ".join(by_name["refuses_420"][1][0]["details"])
        assert f"turn-probe stun 127.0.0.1:{odd_stun_server.UDP['old']}" in by_name["redirects"][1][0]["next"]
        assert by_name["loses_first"][1][0]["evidence"]["requests"]["most_sends"] == 2
        assert by_name["silent"][1][0]["confidence"] == "medium"  # down or dropped: silence does not tell
        code, checks = w.checks("stun", f"{HOST}:4999")
        assert code == FAIL
        expect(checks[0], "FAIL", "closed")


@scenario
def bad_servers_over_tcp():
    with World() as w:
        for name, reason in (("closes", "closed-unanswered"), ("talks_http", "not-a-stun-server"), ("holds", "no-answer")):
            code, checks = w.checks("stun", f"{HOST}:{odd_stun_server.TCP[name]}", "--transport", "tcp", "--fast")
            assert code == FAIL, checks
            expect(checks[0], "FAIL", reason)
        code, checks = w.checks("stun", f"{HOST}:4999", "--transport", "tcp")
        expect(checks[0], "FAIL", "refused")
        code, checks = w.checks("stun", f"good.example:{odd_stun_server.TCP['talks_http']}", "--transport", "tls", "--fast")
        assert code == FAIL, checks
        expect(checks[0], "FAIL", "handshake-failed")


@scenario
def bad_servers_of_nat():
    """No wrong name for a NAT from a server that cannot tell."""
    wanted = {"silent": (UNCONFIRMED, "UNCONFIRMED", "no-answer"), "garbage": (FAIL, "FAIL", "not-a-stun-server"),
              "refuses_420": (FAIL, "FAIL", "error-420"), "no_address": (FAIL, "FAIL", "no-mapped-address")}
    with World() as w:
        found = w.all_checks("nat", *((f"{HOST}:{odd_stun_server.UDP[name]}",) for name in (*wanted, "old", "loses_some")))
        for (code, checks), (name, (exit_code, status, reason)) in zip(found, wanted.items()):
            assert code == exit_code and len(checks) == 1, (name, checks)
            expect(checks[0], status, reason)
        for code, checks in found[len(wanted):]:
            assert code == UNCONFIRMED, checks
            by_id = {check["id"]: check for check in checks}
            expect(by_id["nat-filtering-ipv4"], "UNCONFIRMED", "no-other-address")


@scenario
def names_and_srv():
    with World() as w:
        w.start_turnd()
        # SRV in its order: the silent server of priority 10 is a warning, because clients go on to the next.
        code, checks = w.checks("stun", "stun:srv.example", "--fast")
        assert code == PASS and [c["evidence"]["srv"] for c in checks] == ["_stun._udp.srv.example"] * 2, checks
        expect(checks[0], "WARN", "no-answer")
        expect(checks[1], "PASS", "answered")
        # Without a URI, and with a port, SRV is not asked.
        assert w.checks("stun", "plain.example", "-n", "1")[0] == PASS
        assert w.checks("stun", "stun:good.example:3478", "-n", "1")[0] == PASS
        assert w.checks("stun", "STUN:plain.example", "-n", "1")[0] == PASS  # no SRV: A and the default port
        for name, remark in (("refused.example", "not offered"), ("dangling.example", "leads nowhere"), ("fails.example", "SRV")):
            code, checks = w.checks("stun", f"stun:{name}", "-n", "1")
            assert code == PASS and remark in " ".join(checks[0]["details"]), checks
        # Behaviour discovery has a service name of its own.
        code, checks = w.checks("nat", "stun:behaviour.example")
        assert code == PASS and checks[0]["reason"] == "answered", checks
        done = w.probe("stun", "stun:nobody.example")
        assert done.returncode == CANNOT_START and "nobody.example" in done.stderr, done
        done = w.probe("stun", "stuns:" + HOST)
        assert done.returncode == USAGE and "host name" in done.stderr, done
        done = w.probe("stun", "stun:plain.example?transport=udp")
        assert done.returncode == USAGE and "RFC 7064" in done.stderr, done
        done = w.probe("nat", "turn:plain.example")
        assert done.returncode == USAGE and "TURN server" in done.stderr, done


@scenario
def as_rtcd_asks():
    """From the media port, while nothing else has it."""
    with World() as w:
        w.start_turnd()
        code, checks = w.checks("stun", HOST, "--local", "127.0.0.1:8443", "-n", "1")
        assert code == PASS and checks[0]["evidence"]["xor_mapped_address"] == "127.0.0.1:8443", checks
        w.here.start(["/usr/bin/python3", "-c", "import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
                      "s.bind(('127.0.0.1',8443))\nprint('bound',flush=True)\ntime.sleep(60)"]).wait_for("bound")
        code, checks = w.checks("stun", HOST, "--local", "127.0.0.1:8443", "-n", "1")
        assert code == FAIL and "in use" in checks[0]["headline"], checks


@scenario
def patience():
    """A silent server is given up when the schedule says so."""
    with World() as w:
        server = f"{HOST}:{odd_stun_server.UDP['silent']}"
        for options, least, most, sends in ((("--fast",), 2.5, 4, 3), ((), 5.5, 7.5, 4)):
            started = time.monotonic()
            _, checks = w.checks("stun", server, *options)
            took = time.monotonic() - started
            assert least <= took < most, (options, took)
            assert f"no answer to {sends} requests" in checks[0]["headline"], checks


if __name__ == "__main__":
    arguments = sys.argv[1:]
    while len(arguments) >= 2 and arguments[0] in ("--probe", "--turnd"):
        if arguments[0] == "--probe":
            PROBE = arguments[1]
        else:
            TURND = arguments[1]
        arguments = arguments[2:]
    sys.exit(netlab.main(SCENARIOS, lambda run: run(), arguments))
