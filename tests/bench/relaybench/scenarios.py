"""What is measured: each scenario is a run of `turn-probe load` against a fresh server."""

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
]

BY_NAME = {scenario.name: scenario for scenario in ALL}


def choose(names):
    """The scenarios of a comma-separated list; 'all', or a prefix such as 'runs4'."""
    chosen = []
    for name in names.split(','):
        found = [s for s in ALL if name in ('all', s.name) or s.name.startswith(name + '-')]
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
