#!/usr/bin/env python3
"""What an import takes: changes per second on the recorded feed of an ERP, two builds in turn on fresh stores,
and the peak of memory on feeds that are large in one way each.

  benchmarks/import.py --bin target/release/bascule [--before OTHER] [--rounds 5] [--memory]

Prints; with --memory it fails where an import takes more than --most MiB.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FEED = ROOT / 'tests/data/tryton-small.jsonl.gz'
MAPPING = ROOT / 'docs/examples/tryton/mapping.toml'
MINI = '''
version = 1
source = "mini"
tables_from = "leg.public."
[tables]
client = { keep = ["nom"] }
cde = { keep = ["client", "total"] }
ligne = { keep = ["cde", "art"] }
[aggregates.customer]
root = "client"
command = "customers.SyncCustomer"
[aggregates.customer.jq]
program = '{name: .nom, number: (.id|tostring)}'
[aggregates.order]
root = "cde"
command = "orders.SyncOrder"
[aggregates.order.rows]
"lignes" = { many = "ligne", fk = "cde" }
[aggregates.order.jq]
program = """
{ status: "confirmed", number: (.id|tostring), customer_id: (.client | uid("client")), currency: "EUR", total: .total,
  lines: [.lignes[] | {sku: .art, description: "d", quantity: "1", unit_price: "1"}] }
"""
'''


def record(table, row, transaction, position):
    source = {'connector': 'postgresql', 'lsn': position, 'txId': transaction, 'snapshot': 'false',
              'ts_ms': 1_200_000_000_000 + position}
    return json.dumps({'topic': 'leg.public.' + table, 'key': {'id': row['id']},
                       'value': {'after': row, 'source': source, 'op': 'c'}}) + '\n'


def one_aggregate(lines):
    """One order, each of its lines a source transaction of its own."""
    yield record('cde', {'id': 1, 'client': 7, 'total': '1.00'}, 1, 1)
    for line in range(lines):
        yield record('ligne', {'id': line, 'cde': 1, 'art': f'A{line}'}, 10 + line, 10 + line)


def one_transaction(rows):
    """One source transaction: customers, each with an order of one line."""
    for at in range(rows // 3):
        yield record('client', {'id': at, 'nom': f'Client {at}'}, 5, 3 * at + 1)
        yield record('cde', {'id': at, 'client': at, 'total': '1.00'}, 5, 3 * at + 2)
        yield record('ligne', {'id': at, 'cde': at, 'art': 'A'}, 5, 3 * at + 3)


def large_rows(rows):
    """Rows of 200 kB, each a transaction of its own."""
    for at in range(rows):
        yield record('client', {'id': at, 'nom': 'n' * 200_000}, 5 + at, at + 1)


def run(program, mapping, feed):
    """The summary, and the peak of memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        os.sync()
        command = [program, 'import', '--json', '--store', f'sqlite:{folder}/b.db', '--mapping', mapping, '--format',
                   'debezium', feed]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, cwd=folder,
                                   env=dict(os.environ, BASCULE_LOG__FILTER='error'))
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f'{program} exits with {process.returncode}: {printed.decode()}')
        return json.loads(printed), usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--bin', type=pathlib.Path, default=ROOT / 'target/release/bascule')
    arguments.add_argument('--before', type=pathlib.Path, help='another build to compare with')
    arguments.add_argument('--rounds', type=int, default=5)
    arguments.add_argument('--memory', action='store_true', help='measure memory on large feeds, too')
    arguments.add_argument('--most', type=float, default=300, help='MiB that an import may take')
    arguments.add_argument('--scale', type=float, default=1, help='of the large feeds')
    asked = arguments.parse_args()
    builds = {'this build': asked.bin.resolve()}
    if asked.before:
        builds['before'] = asked.before.resolve()
    rates = {name: [] for name in builds}
    for _ in range(asked.rounds):
        for name, program in builds.items():
            summary, _ = run(program, MAPPING, FEED)
            rates[name].append(summary['changes_per_second'])
    for name, measured in rates.items():
        if measured:
            print(f'{name}: {statistics.median(measured):,.0f} changes/s (median of {len(measured)}; '
                  f'{min(measured):,.0f} to {max(measured):,.0f})')
    if not asked.memory:
        return
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        mapping = pathlib.Path(folder) / 'mapping.toml'
        mapping.write_text(MINI)
        for what, lines in [('300,000 rows in one transaction', one_transaction(int(300_000 * asked.scale))),
                            ('3,000 transactions on one order', one_aggregate(int(3_000 * asked.scale))),
                            ('1,000 rows of 200 kB', large_rows(int(1_000 * asked.scale)))]:
            feed = pathlib.Path(folder) / 'feed.jsonl'
            with feed.open('w') as out:
                out.writelines(lines)
            summary, peak = run(asked.bin.resolve(), mapping, feed)
            print(f'{what}: {peak:,.0f} MiB at most, {summary["elapsed_seconds"]:,.1f} s')
            failed |= peak > asked.most
    if failed:
        sys.exit(f'an import took more than {asked.most:,.0f} MiB')


if __name__ == '__main__':
    main()
