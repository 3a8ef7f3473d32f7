"""Medians, spread and ratios over the alternations, as text and as Markdown."""

import platform
import statistics
import subprocess
import time

from . import scenarios


def _cpu_model():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.machine()


def machine():
    """One line: what the numbers were measured on."""
    cores = subprocess.run(['nproc'], capture_output=True, text=True, check=True).stdout.strip()
    with open('/proc/meminfo', encoding='ascii') as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return f'{_cpu_model()}, {cores} cores, {memory:.1f} GiB, Linux {platform.release()}, {time.strftime("%Y-%m-%d")}'


class Results:
    def __init__(self):
        self.samples = {}  # (scenario, server): [evidence, ...], one for each alternation

    def add(self, scenario, server, evidence):
        self.samples.setdefault((scenario.name, server), []).append(evidence)

    def values(self, scenario, server, key=None, scale=None):
        found = [scenarios.value(e, key or scenario.metric) for e in self.samples.get((scenario.name, server), [])]
        factor = scenario.scale if scale is None else scale
        return [v * factor for v in found if v is not None]

    def ratio(self, scenario, server, base):
        """The median over alternations of base / server: how many times cheaper `server` is."""
        pairs = zip(self.values(scenario, base), self.values(scenario, server))
        ratios = [b / s for b, s in pairs if s > 0]
        return statistics.median(ratios) if ratios else None

    def rows(self, scenario, names):
        for name in names:
            metric = self.values(scenario, name)
            if not metric:
                continue
            row = {'server': name, 'median': statistics.median(metric), 'low': min(metric), 'high': max(metric)}
            row['pps'] = _median(self.values(scenario, name, 'delivered_pps', 1))
            row['loss'] = _median(self.values(scenario, name, 'loss_percent', 1))
            row['server_cores'] = _median(self.values(scenario, name, 'server.cores', 1))
            row['resident'] = _median(self.values(scenario, name, 'server.resident_bytes', 1 / 1048576))
            row['generator_cores'] = _median(self.values(scenario, name, 'generator.cores', 1))
            row['extra'] = [(title, form.format(_median(self.values(scenario, name, key, scale)) or 0))
                            for key, title, scale, form in scenario.extra]
            row['ratios'] = {base: self.ratio(scenario, name, base) for base in names if base != name}
            yield row

    def markdown(self, chosen, names, command):
        lines = [f'Machine: {machine()}.', '', f'Command: `{command}`', '']
        relay = [s for s in chosen if s.metric == scenarios.CPU]
        others = [s for s in chosen if s.metric != scenarios.CPU]
        if relay:
            lines += ['| scenario | server | CPU us/packet (min-max) | packets per CPU-second | delivered pkt/s | loss % | server / '
                      'generator core % | RSS MiB | ' + ' | '.join(f'{base} / it' for base in names) + ' |',
                      '|---|---|---|---|---|---|---|---|' + '---|' * len(names)]
            for scenario in relay:
                for row in self.rows(scenario, names):
                    lines.append(_relay_row(scenario, row, names))
            lines.append('')
        if others:
            lines += ['| scenario | server | median (min-max) | more | loss % | ' + ' | '.join(f'{base} / it' for base in names) +
                      ' |', '|---|---|---|---|---|' + '---|' * len(names)]
            for scenario in others:
                for row in self.rows(scenario, names):
                    more = ', '.join(f'{title} {text}' for title, text in row['extra'])
                    lines.append(f'| {scenario.title} | {row["server"]} | {row["median"]:.3g} {scenario.unit} '
                                 f'({row["low"]:.3g}-{row["high"]:.3g}) | {more} | {_number(row["loss"], "{:.3f}")} | '
                                 + ' | '.join(_ratio(row, base) for base in names) + ' |')
            lines.append('')
        return '\n'.join(lines)


def _relay_row(scenario, row, names):
    return (f'| {scenario.title} | {row["server"]} | {row["median"]:.2f} ({row["low"]:.2f}-{row["high"]:.2f}) | '
            f'{1e6 / row["median"]:,.0f} | {row["pps"]:,.0f} | {_number(row["loss"], "{:.3f}")} | '
            f'{100 * (row["server_cores"] or 0):.0f} / {100 * (row["generator_cores"] or 0):.0f} | '
            f'{_number(row["resident"], "{:.1f}")} | '
            + ' | '.join(_ratio(row, base) for base in names) + ' |')


def _median(values):
    return statistics.median(values) if values else None


def _number(value, form):
    return '' if value is None else form.format(value)


def _ratio(row, base):
    value = row['ratios'].get(base)
    return '' if value is None else f'{value:.2f}'
