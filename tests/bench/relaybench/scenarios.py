"""What is measured: each scenario is a run of `turn-probe load`, or for clients on streams of `bench_stream`, against a fresh server."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    options: tuple  # of turn-probe load; allocations, duration and server come from the driver
    metric: str     # dotted key into the evidence: what the scenario is about
    unit: str
    scale: float = 1.0        # from the evidence's unit to `unit`
    allocations: int = 0      # instead of the driver's
    duration: float = 0.0     # instead of the driver's
    extra: tuple = ()         # further metrics that the tables show: (key, title, scale, format)
    stream: str = ''          # 'relay' or 'handshakes': bench_stream does this, not turn-probe
    tls: bool = False         # on the TLS port


CPU = 'server.cpu_us_per_packet'
LATENCY = (('{class}.latency_ms.p50', 'p50 us', 1000.0, '{:.0f}'), ('{class}.latency_ms.p99', 'p99 us', 1000.0, '{:.0f}'),
           ('{class}.latency_ms.p999', 'p99.9 us', 1000.0, '{:.0f}'))
LEGACY = ('--algorithms', 'legacy')  # what coturn 4.6 speaks, so that all servers do the same work


def _flat(name, title, direction, size, run):
    return Scenario(name, title, ('--direction', direction, '--size', str(size), '--run', str(run), *LEGACY), CPU, 'us')


def _latency(direction):
    extra = tuple((key.replace('{class}', f'classes.{direction}'), *rest) for key, *rest in LATENCY)
    return Scenario(f'latency-{direction}', f'20,000 pkt/s of 172 B singles, {direction}',
                    ('--direction', direction, '--rate', '20000', *LEGACY), f'classes.{direction}.latency_ms.p99', 'us',
                    scale=1000.0, extra=extra)


# What coturn 4.6 ends up with, whatever a client offers.
SAME_TLS = ('--tls', '1.2')
STREAM_CLIENTS = 50


def _stream(transport, direction):
    """Clients that write eight packets at once; a peer that sends runs of four, as an SFU does for a video frame."""
    run = '8' if direction == 'up' else '4'
    tls = transport == 'tls'
    words = 'writes of 8' if direction == 'up' else 'runs of 4 from the peer'
    return Scenario(f'{transport}-{direction}', f'{transport.upper()} client, 1100 B, {words}, {direction}',
                    ('--transport', transport, '--direction', direction, '--run', run, '--size', '1100', *(SAME_TLS if tls else ())),
                    CPU, 'us', allocations=STREAM_CLIENTS, stream='relay', tls=tls)


def _handshakes(kind, version, resumed):
    return Scenario(f'handshakes{version.replace(".", "")}-{kind}', f'TLS {version} at most, {kind} handshake and a Binding request',
                    ('--transport', 'tls', '--tls', version, *(('--resumed',) if resumed else ())),
                    'server.cpu_us_per_handshake', 'us', stream='handshakes', tls=True,
                    extra=(('server.handshakes_per_cpu_second', 'per CPU-second', 1.0, '{:.0f}'),))


ALL = [
    _flat('singles-up', '172 B singles, up', 'up', 172, 1),
    _flat('singles-down', '172 B singles, down', 'down', 172, 1),
    _flat('runs4-up', '1100 B, runs of 4, up', 'up', 1100, 4),
    _flat('runs4-down', '1100 B, runs of 4, down', 'down', 1100, 4),
    _flat('runs16-up', '1100 B, runs of 16, up', 'up', 1100, 16),
    _flat('runs16-down', '1100 B, runs of 16, down', 'down', 1100, 16),
    _latency('up'),
    _latency('down'),
    Scenario('memory', 'memory per allocation, 5,000 allocations with a channel each', ('--rate', '1000', *LEGACY),
             'server.memory_bytes_per_allocation', 'KiB', scale=1 / 1024, allocations=5000, duration=0.5),
    Scenario('setup', 'CPU per allocate and bind, 2,000 allocations, MD5', ('--rate', '1000', *LEGACY),
             'server.cpu_us_per_allocation', 'us', allocations=2000, duration=0.5),
    Scenario('setup-sha256', 'CPU per allocate and bind, 2,000 allocations, SHA-256 where offered', ('--rate', '1000'),
             'server.cpu_us_per_allocation', 'us', allocations=2000, duration=0.5),
    _stream('tcp', 'up'),
    _stream('tcp', 'down'),
    _stream('tls', 'up'),
    _stream('tls', 'down'),
    _handshakes('full', '1.2', False),
    _handshakes('resumed', '1.2', True),
    _handshakes('full', '1.3', False),
    _handshakes('resumed', '1.3', True),
    Scenario('idle-tcp', 'memory per idle TCP allocation with a channel, 1,000 clients', ('--transport', 'tcp'),
             'server.memory_bytes_per_allocation', 'KiB', scale=1 / 1024, allocations=1000, duration=0.2, stream='relay'),
    Scenario('idle-tls', 'memory per idle TLS allocation with a channel, 1,000 clients', ('--transport', 'tls', *SAME_TLS),
             'server.memory_bytes_per_allocation', 'KiB', scale=1 / 1024, allocations=1000, duration=0.2, stream='relay', tls=True),
]

BY_NAME = {scenario.name: scenario for scenario in ALL}


def choose(names):
    """The scenarios of a comma-separated list; 'all', 'streams' (all with clients on streams), or a prefix such as 'runs4'."""
    chosen = []
    for name in names.replace('_', '-').split(','):
        found = [s for s in ALL if name in ('all', s.name) or s.name.startswith(name + '-') or (name == 'streams' and s.stream)]
        if not found:
            raise ValueError(f"no scenario '{name}'; there are: {', '.join(BY_NAME)}")
        chosen += [s for s in found if s not in chosen]
    return chosen


def value(evidence, key):
    """evidence['server']['cpu'] for 'server.cpu'; None when it is not there."""
    node = evidence
    for part in key.split('.'):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node
