#!/usr/bin/env python3
"""Places orders over HTTP as fast as 64 connections can: with bascule, whose orders are invoiced, paid
and confirmed by the saga meanwhile, and with a plain handler that inserts one row. Both run on the
same PostgreSQL, in turn.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time
import urllib.request

import servers
from servers import BASCULE, PEERS_DIR, Server

CONNECTIONS = 64
#: Connections of the plain handler's pool: the best of 8, 16, 32 and 64 on two cores.
POOL = 32
#: How long the saga may take to catch up.
CATCH_UP = 300
CUSTOMER = {
    'kind': 'person', 'name': 'Ada Martin', 'email': 'ada@exemple.fr',
    'address': {'line1': '1 rue de la Paix', 'postal_code': '75002', 'city': 'Paris', 'country': 'FR'},
}


def order(customer):
    line = {'sku': 'CH-1', 'description': 'Chaise', 'quantity': '2', 'unit_price': '49.90', 'vat_rate': '20'}
    return {'customer_id': customer, 'currency': 'EUR', 'payment_method': 'sandbox:ok', 'lines': [line]}


def post(address, path, body):
    request = urllib.request.Request(f'http://{address}{path}', json.dumps(body).encode(),
                                     {'Content-Type': 'application/json'})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def load(address, customer, seconds):
    """Posts orders; the driver's figures."""
    command = [PEERS_DIR / 'target/release/http-load', address, '--path', '/api/v1/orders',
               '--body', json.dumps(order(customer)), '--connections', str(CONNECTIONS), '--seconds', f'{seconds:g}']
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f'the load driver failed: {ran.stderr.strip()}')
    return json.loads(ran.stdout)


def plain(folder, postgres, seconds):
    """The plain handler on an empty database."""
    postgres.create('plain')
    postgres.settle()
    address = f'127.0.0.1:{servers.free_port()}'
    command = [PEERS_DIR / 'target/release/plain-handler', address, postgres.url('plain'), str(POOL)]
    log = pathlib.Path(folder) / 'plain.log'
    server = Server(command, log, port=int(address.rpartition(':')[2]))
    try:
        return load(address, '0197b19f-1200-7a51-8c44-0f9e8d7c6b5a', seconds)
    finally:
        server.stop()
        postgres.drop('plain')


def bascule(folder, postgres, seconds):
    """bascule on an empty database, and how far its saga is behind when the load ends."""
    postgres.create('bascule')
    postgres.settle()
    addresses = pathlib.Path(folder) / 'addresses.json'
    addresses.unlink(missing_ok=True)
    environment = dict(os.environ, BASCULE_ADDRESS_FILE=str(addresses), BASCULE_MASTER_KEY='0' * 64,
                       BASCULE_LOG__FILTER='warn',
                       # What is measured is the front door; saga.py measures how far it may be ahead.
                       BASCULE_ADMISSION__MAX_LAG_MS='0')
    command = [BASCULE, 'serve', '--store', postgres.url('bascule'),
               '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0']
    server = Server(command, pathlib.Path(folder) / 'bascule.log', ready=addresses.exists, env=environment, cwd=folder)
    try:
        address = json.loads(addresses.read_text())['http'].removeprefix('http://')
        result = load(address, post(address, '/api/v1/customers', CUSTOMER)['id'], seconds)
        ended = time.monotonic()
        placed, confirmed = count(postgres)
        result['unconfirmed_at_end'] = placed - confirmed
        servers.wait_until(lambda: count(postgres)[1] == placed, CATCH_UP, 'the saga')
        result['caught_up_after_s'] = time.monotonic() - ended
        events = postgres.sql('SELECT count(*) FROM event_store.event', database='bascule')
        result['events_per_order'] = int(events) / placed
        return result
    finally:
        server.stop()
        postgres.drop('bascule')


def count(postgres):
    """Orders placed and confirmed so far."""
    types = ('orders.OrderPlaced.v1', 'orders.OrderConfirmed.v1')
    counts = ', '.join(f"count(*) FILTER (WHERE type = '{one}')" for one in types)
    counted = postgres.sql(f'SELECT {counts} FROM event_store.event', database='bascule')
    return [int(number) for number in counted.split('|')]


SIDES = {'plain': plain, 'bascule': bascule}


def compare(folder, postgres, seconds, rounds, say=print):
    """Every side once a round; (runs, probes)."""
    runs, probes = [], []
    names = list(SIDES)
    for turn in range(rounds):
        probe = servers.fdatasync_ms(folder)
        probes.append({'workload': 'orders', 'round': turn + 1, **probe})
        say(f'-- orders over HTTP, round {turn + 1} of {rounds}: fdatasync {probe["median"]:.2f} ms', flush=True)
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            result = SIDES[name](folder, postgres, seconds)
            runs.append({'side': name, 'round': turn + 1, **result})
            behind = ''
            if 'unconfirmed_at_end' in result:
                behind = (f'  saga {result["unconfirmed_at_end"]} orders behind,'
                          f' caught up after {result["caught_up_after_s"]:.1f} s')
            say(f'   {name:9}{result["requests_per_s"]:8.0f} orders/s  p50 {result["p50_ms"]:.2f}'
                f'  p99 {result["p99_ms"]:.2f} ms{behind}', flush=True)
    return runs, probes


def medians(runs):
    """Medians over the rounds, by side."""
    figures = {}
    for side in SIDES:
        mine = [run for run in runs if run['side'] == side]
        names = [name for name in mine[0] if name not in ('side', 'round')]
        figures[side] = {name: statistics.median(run[name] for run in mine) for name in names}
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--rounds', type=int, default=3)
    arguments = parser.parse_args()
    with servers.workspace() as folder:
        postgres = servers.Postgres(folder)
        try:
            runs, _ = compare(folder, postgres, arguments.seconds, arguments.rounds)
        finally:
            postgres.stop()
    figures = medians(runs)
    ratio = figures['bascule']['requests_per_s'] / figures['plain']['requests_per_s']
    print(f'bascule places {ratio:.2f} times as many orders as the plain handler')


if __name__ == '__main__':
    main()
