#!/usr/bin/env python3
"""The saga under more load than it can carry: 64 connections place orders as fast as they are taken in,
and every order is invoiced, charged, settled and confirmed by the same process. With admission, beside
the same build without, on SQLite and PostgreSQL, in turn.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

import orders
import servers
from servers import BASCULE, PEERS_DIR, Server

ENGINES = ('sqlite', 'postgres')
#: The build before, if one is named: as it is, without knowing of admission.
BEFORE = os.environ.get('BEFORE_BIN')
#: What is compared: the program, and how long an event may wait for its turn in ms, 0 for ever.
SIDES = {'admission': (BASCULE, 5000), 'no admission': (BASCULE, 0)}
if BEFORE:
    SIDES['before'] = (pathlib.Path(BEFORE).resolve(), None)
CUSTOMERS = 20
#: Reads a second while they are measured.
READS = 100
CATCH_UP = 900
TICKS = os.sysconf('SC_CLK_TCK')
EVENTS = ('orders.OrderPlaced.v1', 'orders.OrderConfirmed.v1', 'billing.InvoiceIssued.v1', 'billing.InvoicePaid.v1',
          'payments.PaymentCaptured.v1', 'billing.NumberTaken.v1')


class Shop:
    """bascule on an empty store, and what its log says."""

    def __init__(self, folder, postgres, engine, program, max_lag_ms):
        self.engine, self.postgres = engine, postgres
        self.data = pathlib.Path(folder) / 'shop'
        self.data.mkdir()
        if engine == 'postgres':
            postgres.create('shop')
            postgres.settle()
            store = postgres.url('shop')
        else:
            os.sync()
            store = f'sqlite:{self.data}/bascule.db'
        addresses = self.data / 'addresses.json'
        environment = dict(os.environ, BASCULE_ADDRESS_FILE=str(addresses), BASCULE_MASTER_KEY='0' * 64,
                           BASCULE_LOG__FILTER='error')
        if max_lag_ms is not None:
            environment['BASCULE_ADMISSION__MAX_LAG_MS'] = str(max_lag_ms)
        command = [program, 'serve', '--store', store, '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0']
        self.server = Server(command, self.data / 'bascule.log', ready=addresses.exists, env=environment, cwd=self.data)
        told = json.loads(addresses.read_text())
        self.address, self.admin = told['http'].removeprefix('http://'), told['admin']
        self.customers = [self.register(number) for number in range(CUSTOMERS)]

    def register(self, number):
        customer = dict(orders.CUSTOMER, email=f'customer-{number}@exemple.fr')
        return orders.post(self.address, '/api/v1/customers', customer)['id']

    def cpu_s(self):
        """Processor time of the server so far, in s. Of PostgreSQL only the clients' part counts."""
        fields = pathlib.Path(f'/proc/{self.server.process.pid}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def query(self, sql):
        """Rows of the log's tables."""
        if self.engine == 'postgres':
            told = self.postgres.sql(f'SET search_path TO event_store; {sql}', database='shop')
            return [line.split('|') for line in told.splitlines() if line != 'SET']
        with sqlite3.connect(f'file:{self.data}/bascule.db?mode=ro', uri=True, timeout=60) as connection:
            return connection.execute(sql).fetchall()

    def counts(self):
        """How often each of the saga's events happened."""
        rows = self.query('SELECT type, count(*) FROM event GROUP BY type')
        counts = {event_type: int(count) for event_type, count in rows}
        return {event_type: counts.get(event_type, 0) for event_type in EVENTS}

    def unconfirmed(self):
        counts = self.counts()
        return counts['orders.OrderPlaced.v1'] - counts['orders.OrderConfirmed.v1']

    def head(self):
        return int(self.query('SELECT max(position) FROM event')[0][0])

    def confirmation_ms(self, after):
        """From placed to confirmed, of the orders after a position: sorted."""
        rows = self.query(f"SELECT confirmed.recorded_at - placed.recorded_at FROM event placed JOIN event confirmed "
                          f"ON confirmed.stream_id = placed.stream_id AND confirmed.type = 'orders.OrderConfirmed.v1' "
                          f"WHERE placed.type = 'orders.OrderPlaced.v1' AND placed.position > {after}")
        return sorted(int(one) / 1000 for one, in rows)

    def lag_s(self):
        """How long the oldest event of any policy has been unhandled, as the server says."""
        text = urllib.request.urlopen(f'{self.admin}/metrics', timeout=30).read().decode()
        return max((float(value) for value in re.findall(r'^subscription_lag_seconds\{[^}]*\} (\S+)$', text, re.M)),
                   default=0.0)

    def stop(self):
        self.server.stop()
        if self.engine == 'postgres':
            self.postgres.drop('shop')
        shutil.rmtree(self.data)


def driver():
    """The load driver: as `make bench` builds it, or as the short form does."""
    named = os.environ.get('HTTP_LOAD')
    return pathlib.Path(named) if named else PEERS_DIR / 'target/release/http-load'


class Load:
    """The load driver at work."""

    def __init__(self, address, path, *options, body=None):
        command = [str(driver()), address, '--path', path, *map(str, options)]
        if body is not None:
            command += ['--body', json.dumps(body)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self):
        told, complaint = self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f'the load driver failed: {complaint.strip()}')
        return json.loads(told)


def placing(shop, seconds, *options):
    order = orders.order(shop.customers[0])
    return Load(shop.address, '/api/v1/orders', '--connections', orders.CONNECTIONS, '--seconds', seconds,
                '--refusals', *options, body=order)


def reading(shop, seconds):
    return Load(shop.address, '/api/v1/orders?limit=20', '--connections', 4, '--seconds', seconds, '--rate', READS)


class Watching(threading.Thread):
    """The lag once a second, until it is told to end."""

    def __init__(self, shop):
        super().__init__(daemon=True)
        self.shop, self.lags, self.ended = shop, [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(1):
            self.lags.append(self.shop.lag_s())

    def end(self):
        self.ended.set()
        self.join()
        return self.lags


def overload(shop, seconds):
    """More orders than can be handled, reads beside them, and how long it takes until all is done."""
    quiet = reading(shop, min(seconds, 5)).end()
    cpu_before, begun = shop.cpu_s(), time.monotonic()
    watching = Watching(shop)
    load, reads = placing(shop, seconds), reading(shop, seconds)
    told, read = load.end(), reads.end()
    lags = watching.end()
    counts, took = shop.counts(), time.monotonic() - begun
    placed, confirmed = counts['orders.OrderPlaced.v1'], counts['orders.OrderConfirmed.v1']
    ended = time.monotonic()
    servers.wait_until(lambda: shop.unconfirmed() == 0, CATCH_UP, 'the saga', every=0.2)
    drained_after = time.monotonic() - ended
    cpu_ms = (shop.cpu_s() - cpu_before) * 1000 / placed
    return {
        'placed': placed,
        'placed_per_s': placed / took,
        'confirmed_per_s': confirmed / took,
        'refused': told['refused'],
        'unconfirmed_at_end': placed - confirmed,
        'longest_lag_s': max(lags, default=0.0),
        'lags_s': lags,
        'drained_after_s': drained_after,
        'cpu_ms_per_order': cpu_ms,
        # Of the cores, PostgreSQL and the load driver have their part, too.
        'cpu_used': confirmed / took * cpu_ms / 1000 / os.cpu_count(),
        'read_quiet_p99_ms': quiet['p99_ms'],
        'read_p99_ms': read['p99_ms'],
        'read_ratio': read['p99_ms'] / quiet['p99_ms'],
    }


def half_load(shop, seconds, rate):
    """How soon an order is confirmed at half of what can be handled."""
    after = shop.head()
    placing(shop, seconds, '--rate', f'{rate:g}').end()
    servers.wait_until(lambda: shop.unconfirmed() == 0, CATCH_UP, 'the saga', every=0.2)
    took = shop.confirmation_ms(after)
    return {'half_rate_per_s': rate, 'confirmation_p50_ms': took[len(took) // 2],
            'confirmation_p99_ms': took[int(len(took) * 0.99)]}


def check_books(shop):
    """Every order has one invoice, one number and one payment: an AssertionError otherwise."""
    counts = shop.counts()
    assert len(set(counts.values())) == 1, f'the books do not agree: {counts}'


def run_once(folder, postgres, engine, side, seconds):
    shop = Shop(folder, postgres, engine, *SIDES[side])
    try:
        result = overload(shop, seconds)
        result |= half_load(shop, seconds / 2, max(result['confirmed_per_s'] / 2, 1))
        check_books(shop)
        return result
    finally:
        shop.stop()


def compare(folder, postgres, seconds, rounds, engines=ENGINES, sides=tuple(SIDES), say=print):
    """Every side on every engine once a round; (runs, probes)."""
    runs, probes = [], []
    for turn in range(rounds):
        probe = servers.fdatasync_ms(folder)
        probes.append({'workload': 'saga', 'round': turn + 1, **probe})
        say(f'-- saga, round {turn + 1} of {rounds}: fdatasync {probe["median"]:.2f} ms', flush=True)
        for engine in engines:
            names = list(sides)
            first = turn % len(names)
            for side in names[first:] + names[:first]:
                result = run_once(folder, postgres, engine, side, seconds)
                runs.append({'engine': engine, 'side': side, 'round': turn + 1, **result})
                say(f'   {engine:9}{side:13}{told(result)}', flush=True)
    return runs, probes


def told(result):
    return ('{placed_per_s:6.0f} placed/s {confirmed_per_s:6.0f} confirmed/s {refused:6.0f} refused'
            '  {unconfirmed_at_end:6.0f} behind, lag {longest_lag_s:5.1f} s, drained after {drained_after_s:5.1f} s'
            '  {cpu_ms_per_order:5.2f} ms of CPU an order  confirmed after p50 {confirmation_p50_ms:.0f}'
            ' p99 {confirmation_p99_ms:.0f} ms at {half_rate_per_s:.0f}/s'
            '  reads p99 {read_quiet_p99_ms:.1f} quiet, {read_p99_ms:.1f} ms').format(**result)


def medians(runs):
    """Medians over the rounds, a row an engine and side."""
    rows = []
    for engine, side in dict.fromkeys((run['engine'], run['side']) for run in runs):
        mine = [run for run in runs if (run['engine'], run['side']) == (engine, side)]
        names = [name for name, value in mine[0].items() if isinstance(value, (int, float)) and name != 'round']
        rows.append({'engine': engine, 'side': side,
                     **{name: statistics.median(run[name] for run in mine) for name in names}})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--engines', default=','.join(ENGINES))
    parser.add_argument('--sides', default=','.join(SIDES))
    parser.add_argument('--results', type=pathlib.Path, help='where every run is kept, as JSON')
    arguments = parser.parse_args()
    for needed in (BASCULE, driver()):
        if not needed.exists():
            sys.exit(f'there is no {needed}: run `make bench-saga`, which builds it')
    engines = arguments.engines.split(',')
    with servers.workspace() as folder:
        postgres = servers.Postgres(folder) if 'postgres' in engines else None
        try:
            runs, probes = compare(folder, postgres, arguments.seconds, arguments.rounds, engines,
                                   arguments.sides.split(','))
        finally:
            if postgres:
                postgres.stop()
    if arguments.results:
        arguments.results.write_text(json.dumps({'seconds': arguments.seconds, 'runs': runs,
                                                   'probes': probes}, indent=1))
    print(json.dumps(medians(runs), indent=1))


if __name__ == '__main__':
    main()
