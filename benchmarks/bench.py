#!/usr/bin/env python3
"""Everything that docs/benchmarks.md tells, measured on this machine and written there: bascule's stores
beside others, orders over HTTP beside a plain handler, projections.
"""
import argparse
import datetime
import json
import pathlib
import sys

import orders
import projections
import servers
import stores
from report import render
from servers import BASCULE, BENCH, PEERS_DIR, REPOSITORY

EVERYBODY = list(stores.PEERS)
OURS_AND_BARE = ['bascule-postgres', 'bascule-sqlite', 'bascule-wire', 'pg-plain', 'umadb']
#: Workload, clients, peers. Only those that a target compares with read the whole log.
PLAN = [
    *(('append', clients, EVERYBODY) for clients in (1, 16, 64)),
    ('append10', 16, EVERYBODY),
    *(('readall', clients, OURS_AND_BARE) for clients in (1, 16, 64)),
]


def measure(seconds, rounds):
    with servers.workspace() as folder:
        postgres = servers.Postgres(folder)
        try:
            machine = servers.machine(postgres)
            comparison = stores.Comparison(folder, postgres, stores.PEERS, seconds)
            comparison.run(PLAN, rounds)
            order_runs, order_probes = orders.compare(folder, postgres, 2 * seconds, rounds)
            projection_runs, projection_probes = projections.measure(folder, postgres, seconds, rounds)
        finally:
            postgres.stop()
    return {
        'at': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'machine': machine,
        'seconds': seconds,
        'rounds': rounds,
        'preload': stores.PRELOAD,
        'catch_up': projections.CATCH_UP,
        'table': comparison.table(),
        'orders': orders.medians(order_runs),
        'projections': projections.medians(projection_runs),
        'probes': comparison.probes + order_probes + projection_probes,
        'runs': comparison.runs + order_runs + projection_runs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=3, help='of one run; orders take twice as long')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--results', type=pathlib.Path, default=REPOSITORY / 'target/benchmarks.json',
                        help='where every run is kept, as JSON')
    parser.add_argument('--saga', type=pathlib.Path, default=REPOSITORY / 'target/saga.json',
                        help='what saga.py has kept of its runs, for the report')
    parser.add_argument('--report', type=pathlib.Path, default=REPOSITORY / 'docs/benchmarks.md')
    parser.add_argument('--only-report', action='store_true', help='write the report from kept results')
    arguments = parser.parse_args()
    if not arguments.only_report:
        for needed in (BASCULE, BENCH, PEERS_DIR / 'target/release/peers'):
            if not needed.exists():
                sys.exit(f'there is no {needed}: run `make bench`, which builds it')
        results = measure(arguments.seconds, arguments.rounds)
        arguments.results.write_text(json.dumps(results, indent=1))
    results = json.loads(arguments.results.read_text())
    if arguments.saga.exists():
        results['saga'] = json.loads(arguments.saga.read_text())
    report, failures = render(results)
    arguments.report.write_text(report)
    print(f'\n{arguments.report} is written')
    # A target that is missed is a finding; a run that failed is a failure.
    sys.exit(f'{failures} runs failed' if failures else 0)


if __name__ == '__main__':
    main()
