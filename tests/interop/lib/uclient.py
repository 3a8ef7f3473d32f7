"""Runs coturn's turnutils_uclient and reads its closing statistics. Its exit code says nothing: it is 0 even when every
packet was lost."""

import re
import time
from dataclasses import dataclass

from . import processes

# It takes 2 to 7 s by itself, and never gives up: it does not retransmit, so one lost request makes it hang.
TIMEOUT = 40.0


@dataclass
class Outcome:
    """What a run of uclient said at its end. None: it never got that far."""

    command: str
    sent: int | None
    received: int | None
    sent_bytes: int | None
    received_bytes: int | None
    lost: int | None
    dropped: int | None
    output: str
    exit_code: int | None = None  # None: it had to be killed

    @property
    def complete(self):
        """Whether data went out and all of it came back."""
        return (bool(self.sent) and self.lost == 0 and self.dropped == 0 and self.sent == self.received and
                self.sent_bytes == self.received_bytes)

    def __str__(self):
        if self.sent is None:
            last = [line for line in self.output.splitlines() if line.strip()][-5:]
            return 'no statistics; its last lines: ' + (' | '.join(last) or '(none)')
        return (f'sent {self.sent} messages ({self.sent_bytes} bytes), received {self.received} '
                f'({self.received_bytes} bytes), lost {self.lost}, dropped {self.dropped}')


def run(server, *options):
    """One run against the server (ip, port)."""
    return run_until_complete(server, *options, runs=1)


def run_until_complete(server, *options, runs):
    """Several runs at a time, until one of them loses nothing; the best outcome."""
    argv = _argv(server, options)
    running = [processes.Process(argv) for _ in range(runs)]
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            ended = [process for process in running if process.returncode is not None]
            outcomes = [_parse(' '.join(argv[2:]), process.output(), process.wait()) for process in ended]
            best = next((outcome for outcome in outcomes if outcome.complete), None)
            if best is not None:
                return best
            if len(ended) == runs or time.monotonic() > deadline:
                with_numbers = [outcome for outcome in outcomes if outcome.sent is not None]
                return (with_numbers + outcomes + [_parse(' '.join(argv[2:]), running[0].output())])[0]
            time.sleep(0.05)
    finally:
        for process in running:
            process.kill()


# Line buffered, so that a run that hangs shows how far it came.
def _argv(server, options):
    return ['stdbuf', '-oL', 'turnutils_uclient', '-p', str(server[1]), *options, server[0]]


def _parse(command, output, exit_code=None):
    def last(pattern):
        found = re.findall(pattern, output)
        return found[-1] if found else None

    messages = last(r'start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)')
    sizes = last(r'start_mclient: tot_send_bytes ~ (\d+), tot_recv_bytes ~ (\d+)')
    losses = last(r'Total lost packets (-?\d+) .*?total send dropped (-?\d+)')
    numbers = [int(value) for pair in (messages, sizes, losses) for value in (pair or ())]
    if len(numbers) != 6:
        return Outcome(command, None, None, None, None, None, None, output, exit_code)
    return Outcome(command, *numbers, output, exit_code)
