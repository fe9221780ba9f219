#!/usr/bin/env python3
"""How fast a read model catches up with the log, and how soon it shows what is written: on SQLite and
PostgreSQL, in one process and across two replicas.
"""
import argparse
import os
import pathlib
import shlex
import shutil
import statistics

import servers
import stores
from servers import BENCH

#: Events in the log that is caught up with.
CATCH_UP = 100_000
#: Name, engine, options of `bascule-bench`.
WORKLOADS = [
    ('catch-up', 'sqlite', ['catch-up', '--preload', str(CATCH_UP)]),
    ('catch-up', 'postgres', ['catch-up', '--preload', str(CATCH_UP)]),
    ('latency', 'sqlite', ['latency', '--clients', '16']),
    ('latency', 'postgres', ['latency', '--clients', '16']),
    ('latency across replicas', 'postgres', ['latency', '--clients', '16', '--across-replicas']),
]


def run_once(folder, postgres, engine, options, seconds):
    """One run on an empty store."""
    data = pathlib.Path(folder) / 'projections'
    data.mkdir()
    postgres.create('projections')
    postgres.settle()
    store = postgres.url('projections') if engine == 'postgres' else f'sqlite:{data}/bascule.db'
    timed = ['--seconds', f'{seconds:g}'] if 'latency' in options else []
    command = [BENCH, *options, *timed, '--store', store, '--json']
    try:
        environment = dict(os.environ, BASCULE_MASTER_KEY='0' * 64)
        return stores.measure(shlex.join(map(str, command)), environment, seconds + 300)
    finally:
        postgres.drop('projections')
        shutil.rmtree(data)


def measure(folder, postgres, seconds, rounds, say=print):
    """Every workload once a round; (runs, probes)."""
    runs, probes = [], []
    for turn in range(rounds):
        probe = servers.fdatasync_ms(folder)
        probes.append({'workload': 'projections', 'round': turn + 1, **probe})
        say(f'-- projections, round {turn + 1} of {rounds}: fdatasync {probe["median"]:.2f} ms', flush=True)
        for workload, engine, options in WORKLOADS:
            result = run_once(folder, postgres, engine, options, seconds)
            runs.append({'workload': workload, 'engine': engine, 'round': turn + 1, **result})
            say(f'   {workload:24}{engine:9}{stores.told(result)}', flush=True)
    return runs, probes


def medians(runs):
    """Medians over the rounds, a row a workload and engine."""
    rows = []
    for workload, engine, _ in WORKLOADS:
        mine = [run for run in runs if (run['workload'], run['engine']) == (workload, engine) and 'error' not in run]
        figures = {name: [run[name] for run in mine if run[name] is not None]
                   for name in ('events_per_s', 'p50_ms', 'p99_ms')}
        rows.append({'workload': workload, 'engine': engine, 'runs': len(mine),
                     **{name: statistics.median(some) if some else None for name, some in figures.items()}})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=5)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args()
    with servers.workspace() as folder:
        postgres = servers.Postgres(folder)
        try:
            runs, _ = measure(folder, postgres, arguments.seconds, arguments.rounds)
        finally:
            postgres.stop()
    print('\nmedians:')
    for row in medians(runs):
        print(f'   {row["workload"]:24}{row["engine"]:9}' + (stores.told(row) if row['runs'] else 'FAILED'))


if __name__ == '__main__':
    main()
