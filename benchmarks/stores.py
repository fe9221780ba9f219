#!/usr/bin/env python3
"""Runs event stores side by side on this machine, in turn.

A pass is every peer once at one number of clients; passes are repeated for each round, so that what
the machine does besides hits all peers alike. Install the peers with setup.sh first.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys

import servers
from servers import HERE, PEERS_DIR

CLIENT = shlex.quote(str(PEERS_DIR / 'target/release/peers'))
OURS = shlex.quote(str(HERE / 'bascule.sh'))
PEERS = {
    'bascule-postgres': f'{OURS} postgres',
    'bascule-sqlite': f'{OURS} sqlite',
    **{name: f'{CLIENT} {name}' for name in ('bascule-wire', 'umadb', 'postgres-es', 'pg-single-writer', 'pg-plain')},
    'emmett': 'node ' + shlex.quote(str(PEERS_DIR / 'emmett/emmett.mjs')),
}
WORKLOADS = ('append', 'append10', 'readall')
#: Events in the log that readall reads.
PRELOAD = 200_000
#: What a run may take beyond the seconds it measures: connecting, and filling the log to be read.
BEYOND = {'append': 60, 'append10': 60, 'readall': 360}


def measure(command, environment, limit):
    """Runs one command; its JSON line, or {'error': …}."""
    process = subprocess.Popen(command, shell=True, env=environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = process.communicate(timeout=limit)
    except BaseException as error:  # a time-out, or this program being stopped: end its children, too
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return {'error': f'ran longer than {limit:.0f} s'}
    for line in reversed(out.splitlines()):
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if process.returncode == 0 and {'events_per_s', 'p50_ms', 'p99_ms'} <= set(result):
            return result
    return {'error': f'exit status {process.returncode}: {(err or out).strip()[-600:]}'}


class Comparison:
    """The runs of all peers on one PostgreSQL server."""

    def __init__(self, folder, postgres, peers, seconds, say=print):
        self.folder, self.postgres, self.peers, self.seconds, self.say = folder, postgres, peers, seconds, say
        self.runs, self.probes = [], []

    def run(self, plan, rounds):
        """The plan: (workload, number of clients, names of the peers), each once a round."""
        for turn in range(rounds):
            for workload, clients, names in plan:
                probe = servers.fdatasync_ms(self.folder)
                self.probes.append({'workload': workload, 'clients': clients, 'round': turn + 1, **probe})
                self.say(f'-- {workload}, {clients} clients, round {turn + 1} of {rounds}: '
                         f'fdatasync {probe["median"]:.2f} ms (p99 {probe["p99"]:.2f})', flush=True)
                first = turn % len(names)  # nobody always comes first
                for name in names[first:] + names[:first]:
                    result = self.run_once(name, workload, clients)
                    self.runs.append({'peer': name, 'workload': workload, 'clients': clients,
                                      'round': turn + 1, **result})
                    self.say(f'   {name:18}{told(result)}', flush=True)

    def run_once(self, name, workload, clients):
        """Appends find an empty store; the log that is read is kept for the peer's later rounds."""
        database = 'p_' + re.sub(r'\W', '_', name).lower()
        data = pathlib.Path(self.folder) / f'data-{workload}-{name}'
        keep = workload == 'readall'
        if keep:
            database += '_read'
        if not (keep and self.postgres.exists(database)):
            self.postgres.create(database)
            shutil.rmtree(data, ignore_errors=True)
        data.mkdir(exist_ok=True)
        self.postgres.settle()
        environment = dict(os.environ, PG_URL=self.postgres.url(database), DATA_DIR=str(data),
                           WORKLOAD=workload, CLIENTS=str(clients), SECONDS=f'{self.seconds:g}',
                           PRELOAD=str(PRELOAD))
        server = None
        try:
            if name == 'umadb':  # up for its own runs only
                server = servers.UmaDb(self.folder, data)
                environment['UMA_URL'] = server.url
            if name == 'bascule-wire':
                server = servers.Wire(self.folder, data)
                environment['WIRE_URL'] = server.url
            return measure(self.peers[name], environment, self.seconds + BEYOND[workload])
        finally:
            if server:
                server.stop()
            if not keep:
                self.postgres.drop(database)
                shutil.rmtree(data, ignore_errors=True)

    def table(self):
        """Medians over the rounds."""
        keys = dict.fromkeys((run['workload'], run['clients'], run['peer']) for run in self.runs)
        return [self.median(*key) for key in keys]

    def median(self, workload, clients, peer):
        mine = [run for run in self.runs if (run['workload'], run['clients'], run['peer']) == (workload, clients, peer)]
        good = [run for run in mine if 'error' not in run]
        values = {name: [run[name] for run in good if run[name] is not None]
                  for name in ('events_per_s', 'p50_ms', 'p99_ms')}
        rates = values['events_per_s']
        return {'peer': peer, 'workload': workload, 'clients': clients, 'runs': len(good),
                'failed': len(mine) - len(good),
                **{name: statistics.median(some) if some else None for name, some in values.items()},
                'lowest': min(rates, default=None), 'highest': max(rates, default=None)}


def told(result):
    if 'error' in result:
        return result['error']
    return f'{result["events_per_s"]:10.0f} events/s  p50 {ms(result["p50_ms"])}  p99 {ms(result["p99_ms"])} ms'


def ms(value):
    return '-' if value is None else f'{value:.2f}'


def print_table(table):
    print(f'\n{"peer":18} {"workload":9} {"clients":>7} {"events/s":>9} {"p50 ms":>8} {"p99 ms":>8}   lowest..highest')
    for row in table:
        head = f'{row["peer"]:18} {row["workload"]:9} {row["clients"]:7} '
        if not row['runs']:
            print(head + '   FAILED')
            continue
        failed = f'   ({row["failed"]} failed)' if row['failed'] else ''
        print(f'{head}{row["events_per_s"]:9.0f} {ms(row["p50_ms"]):>8} {ms(row["p99_ms"]):>8}   '
              f'{row["lowest"]:.0f}..{row["highest"]:.0f}{failed}')
    print('of readall p50 and p99 are ms per 1,000 events')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--workload', default='append', help=f'of {", ".join(WORKLOADS)}; several with commas')
    parser.add_argument('--clients', default='1,16,64')
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--peers', default=','.join(PEERS), help=f'of {", ".join(PEERS)}')
    parser.add_argument('--out', type=pathlib.Path, help='a file for every run, as JSON')
    arguments = parser.parse_args()
    workloads, names = arguments.workload.split(','), arguments.peers.split(',')
    if set(workloads) - set(WORKLOADS) or set(names) - set(PEERS):
        parser.error('there is no such workload or peer')
    plan = [(workload, int(clients), names) for workload in workloads for clients in arguments.clients.split(',')]
    with servers.workspace() as folder:
        postgres = servers.Postgres(folder)
        try:
            comparison = Comparison(folder, postgres, PEERS, arguments.seconds)
            comparison.run(plan, arguments.rounds)
        finally:
            postgres.stop()
    table = comparison.table()
    print_table(table)
    if arguments.out:
        arguments.out.write_text(json.dumps({'table': table, 'runs': comparison.runs, 'probes': comparison.probes}, indent=1))
    sys.exit(any(row['failed'] for row in table))


if __name__ == '__main__':
    main()
