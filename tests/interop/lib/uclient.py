"""Runs coturn's turnutils_uclient and reads its closing statistics. Its exit code says nothing: it is 0 even when every
packet was lost."""

import re
from dataclasses import dataclass

from . import processes

# Its receive loop polls, so a busy machine makes it slow, not lossy; it takes some 6 s on an idle one.
TIMEOUT = 60.0


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
    argv = ['turnutils_uclient', '-p', str(server[1]), *options, server[0]]
    try:
        output = processes.run(argv, timeout=TIMEOUT).output()
    except processes.ProcessFailure as failure:
        output = str(failure)
    return _parse(' '.join(argv), output)


def _parse(command, output):
    def last(pattern):
        found = re.findall(pattern, output)
        return found[-1] if found else None

    messages = last(r'start_mclient: tot_send_msgs=(\d+), tot_recv_msgs=(\d+)')
    sizes = last(r'start_mclient: tot_send_bytes ~ (\d+), tot_recv_bytes ~ (\d+)')
    losses = last(r'Total lost packets (-?\d+) .*?total send dropped (-?\d+)')
    numbers = [int(value) for pair in (messages, sizes, losses) for value in (pair or ())]
    if len(numbers) != 6:
        return Outcome(command, None, None, None, None, None, None, output)
    return Outcome(command, *numbers, output)
