"""A small laboratory of hosts: network namespaces joined by veth pairs, with nftables rules.

The namespaces are nameless. A holder process keeps each alive and dies with this process, so nothing is left behind however a
test ends, and laboratories may run in parallel. Needs root, or a kernel that gives user namespaces to everybody.

    with Lab() as lab:
        client, router, server = lab.host("client"), lab.host("router"), lab.host("server")
        lab.link(client, "10.0.1.2/24", router, "10.0.1.1/24")
        client.route_via("10.0.1.1")
        router.filter("forward", "udp dport 8443 drop")
        client.run(["ping", "-c1", "10.0.2.2"])
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

LIFETIME_S = 120  # of a laboratory, at most
SKIPPED = 77  # exit code: the system cannot do this


def _die_with_parent():
    """Runs in a child before exec: SIGKILL when the parent goes (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


class Process:
    """A program inside a host, its output read as it comes, so that a test waits for a line and never for a time."""

    def __init__(self, argv, stdin=None, env=None):
        self.argv = argv
        self._popen = subprocess.Popen(
            argv, stdin=subprocess.PIPE if stdin is None else stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            preexec_fn=_die_with_parent)
        self._texts = {"out": "", "err": ""}
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._read, args=(name, stream), daemon=True)
                         for name, stream in (("out", self._popen.stdout), ("err", self._popen.stderr))]
        for reader in self._readers:
            reader.start()

    def _read(self, name, stream):
        while chunk := os.read(stream.fileno(), 4096):
            with self._changed:
                self._texts[name] += chunk.decode("utf-8", "replace")
                self._changed.notify_all()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def out(self):
        return self._texts["out"]

    @property
    def err(self):
        return self._texts["err"]

    def wait_for(self, text, timeout=10):
        """Until `text` was printed, on either stream."""
        with self._changed:
            if not self._changed.wait_for(lambda: text in self.out or text in self.err, timeout):
                raise AssertionError(f"{self.argv}: no {text!r} within {timeout} s; stdout {self.out!r}, stderr {self.err!r}")

    def type(self, text):
        self._popen.stdin.write(text.encode())
        self._popen.stdin.flush()

    def finish(self, sig=None, timeout=15):
        """Sends `sig`, waits for the end and all output, and returns the exit code."""
        if sig is not None and self._popen.poll() is None:
            self._popen.send_signal(sig)
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            raise AssertionError(f"{self.argv} did not end within {timeout} s; stdout {self.out!r}, stderr {self.err!r}") from None
        for reader in self._readers:
            reader.join(5)
        return code

    def kill(self):
        if self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()


class Host:
    """A network namespace with its own interfaces, routes, rules and programs."""

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.devices = 0
        self._holder = subprocess.Popen(["unshare", "--net", "sleep", str(LIFETIME_S)], preexec_fn=_die_with_parent)
        self._await_namespace()
        self.run(["ip", "link", "set", "lo", "up"])
        # Duplicate address detection would hold IPv6, its link-local addresses too, back for seconds.
        self.run(["sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0"])

    def _await_namespace(self):
        """unshare(1) has moved once the namespace differs from ours."""
        ours = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == ours:
            if self._holder.poll() is not None or time.monotonic() > deadline:
                raise PermissionError("cannot make network namespaces here")
            time.sleep(0.002)

    @property
    def netns(self):
        return str(self._holder.pid)

    def inside(self, argv):
        return ["nsenter", "--target", self.netns, "--net", "--", *argv]

    def run(self, argv, check=True, timeout=30, **kwargs):
        """Runs to the end; returns a CompletedProcess with text output."""
        return subprocess.run(self.inside(argv), check=check, timeout=timeout, capture_output=True, text=True, **kwargs)

    def start(self, argv, **kwargs):
        """Starts a Process that ends with the laboratory at the latest."""
        process = Process(self.inside(argv), **kwargs)
        self.lab.processes.append(process)
        return process

    def nft(self, rules):
        subprocess.run(self.inside(["nft", "-f", "-"]), input=rules, check=True, timeout=30, text=True)

    def filter(self, hook, *rules):
        """Rules in a chain of that hook, in the inet family; what matches none passes."""
        body = "\n".join(rules)
        self.nft(f"table inet lab {{\nchain {hook} {{\ntype filter hook {hook} priority 0; policy accept;\n{body}\n}}\n}}")

    def forward(self):
        """Makes a router of it."""
        for setting in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.run(["sysctl", "-qw", f"{setting}=1"])

    def route_via(self, gateway):
        self.run(["ip", "route", "add", "default", "via", gateway])

    def stop(self):
        self._holder.kill()
        self._holder.wait()


class Lab:
    def __init__(self):
        self.hosts = []
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for host in self.hosts:
            host.stop()

    def host(self, name):
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def link(self, a, a_addresses, b, b_addresses):
        """A cable between two hosts; each end gets its addresses ("10.0.1.1/24", also a list with IPv6)."""
        ends = []
        for host in (a, b):
            ends.append(f"eth{host.devices}")
            host.devices += 1
        a.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", b.netns])
        for host, end, addresses in ((a, ends[0], a_addresses), (b, ends[1], b_addresses)):
            for address in [addresses] if isinstance(addresses, str) else addresses:
                host.run(["ip", "address", "add", address, "dev", end])
            host.run(["ip", "link", "set", end, "up"])


def main(scenarios, run, arguments):
    """The end of a script: `--list` prints the scenarios' names; otherwise each named one runs. Exit code 77: cannot run here."""
    if arguments == ["--list"]:
        print("\n".join(scenarios))
        return 0
    if os.geteuid() != 0 and "NETLAB_INSIDE" not in os.environ:
        # A user namespace makes us root over the network namespaces that we create in it.
        os.environ["NETLAB_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--user", "--map-root-user", sys.executable, *sys.orig_argv[1:]])
    try:
        for name in arguments:
            run(scenarios[name])
    except (PermissionError, FileNotFoundError) as error:
        print(f"skipped: {error}")
        return SKIPPED
    return 0
