"""Processes that a test starts: output read line by line, waits for lines instead of for time, an end that is certain.

A process dies with the test that started it (PR_SET_PDEATHSIG through setpriv), so a test that is killed leaves none.
"""

import os
import re
import signal
import subprocess
import threading
import time

START_TIMEOUT = 20.0  # generous: the machine may be busy; a test waits that long only when something is broken
STOP_TIMEOUT = 15.0


class ProcessFailure(AssertionError):
    """A process ended, or stayed silent, where the test needed something from it."""


class Process:
    """A running program whose standard output and error are collected, in order of arrival."""

    def __init__(self, argv, *, env=None, cwd=None, stdin=subprocess.DEVNULL, prefix=()):
        self.argv = [str(argument) for argument in argv]
        full = [*prefix, 'setpriv', '--pdeathsig', 'KILL', *self.argv]
        self._changed = threading.Condition()
        self._lines = []
        self._open_streams = 2
        self._process = subprocess.Popen(full, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         env=env, cwd=cwd)
        self._readers = [threading.Thread(target=self._read, args=(stream, name), daemon=True)
                         for stream, name in ((self._process.stdout, 'out'), (self._process.stderr, 'err'))]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self):
        return self._process.pid

    @property
    def returncode(self):
        return self._process.poll()

    def _read(self, stream, name):
        for raw in stream:
            with self._changed:
                self._lines.append((name, raw.decode('utf-8', 'replace').rstrip('\r\n')))
                self._changed.notify_all()
        stream.close()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def lines(self, stream=None):
        with self._changed:
            return [text for name, text in self._lines if stream in (None, name)]

    def output(self, stream=None):
        return '\n'.join(self.lines(stream))

    def wait_for(self, pattern, timeout=START_TIMEOUT, start=0):
        """The match of the first line that has `pattern`, from line `start` on; waits until it comes."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        seen = start
        with self._changed:
            while True:
                while seen < len(self._lines):
                    match = expression.search(self._lines[seen][1])
                    seen += 1
                    if match:
                        return match
                left = deadline - time.monotonic()
                if self._open_streams == 0:
                    raise ProcessFailure(f'{self.name()} ended without a line that has {pattern!r}{self._shown()}')
                if left <= 0:
                    raise ProcessFailure(f'{self.name()} printed no line that has {pattern!r} in {timeout:g} s'
                                         f'{self._shown()}')
                self._changed.wait(left)

    def line_count(self):
        with self._changed:
            return len(self._lines)

    def wait(self, timeout=STOP_TIMEOUT):
        """The exit code, once the process ended and all of its output is here."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessFailure(f'{self.name()} still runs after {timeout:g} s{self._shown()}') from None
        for reader in self._readers:
            reader.join(timeout)
        return code

    def send_signal(self, number):
        self._process.send_signal(number)

    def stop(self, timeout=STOP_TIMEOUT):
        """SIGTERM, and the exit code. A process that does not leave is killed, and that is a failure."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except ProcessFailure:
            self.kill()
            raise

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(STOP_TIMEOUT)

    def name(self):
        return os.path.basename(self.argv[0])

    def resident_kib(self):
        """The resident set in KiB."""
        return self.status_number('VmRSS')

    def status_number(self, key):
        return int(self.status(key).split()[0])

    def status(self, key):
        with open(f'/proc/{self.pid}/status', encoding='ascii') as status:
            for line in status:
                if line.startswith(key + ':'):
                    return line.split(':', 1)[1].strip()
        raise KeyError(key)

    def sanitized(self):
        """Whether the program was built with a sanitizer, whose memory use says nothing about the program's own."""
        with open(f'/proc/{self.pid}/maps', encoding='utf-8') as maps:
            return re.search(r'/lib[atl]san\.so', maps.read()) is not None

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def _shown(self):
        shown = '\n'.join('  ' + text for _, text in self._lines[-60:])
        return f'; it printed:\n{shown}' if shown else '; it printed nothing'


def run(argv, *, timeout, env=None, cwd=None, prefix=()):
    """Runs a program to its end; the finished Process."""
    process = Process(argv, env=env, cwd=cwd, prefix=prefix)
    try:
        process.wait(timeout)
    except ProcessFailure:
        process.kill()
        raise
    return process


def until(condition, what, timeout=START_TIMEOUT, every=0.02):
    """Waits until `condition()` is true and returns what it said; for states that announce themselves nowhere."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise ProcessFailure(f'waited {timeout:g} s in vain: {what}')
        time.sleep(every)
