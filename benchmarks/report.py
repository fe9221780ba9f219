"""Writes docs/benchmarks.md from the results of bench.py."""
import dataclasses
import pathlib
import statistics

import saga as saga_benchmark
import stores

#: Written by hand, after profiling.
FINDINGS = pathlib.Path(__file__).with_name('findings.md')

PAGE = """# Benchmarks

Performance of bascule and of its peers on one machine, compared with its targets. `make bench` writes this page; edit `benchmarks/report.py` and `benchmarks/findings.md`, not this page.

{machine}

{probe}

## Targets

{targets}

A ratio compares the medians of {rounds} rounds in which the peers took turns; each run measured {seconds:g} s. \
{verdict}

## Appending

Each request appends one event of 300 bytes to a new stream, which must not exist; closed loop. Events per second; in brackets, median and 99th percentile of a request in ms.

{append}

Ten events per request:

{append10}

## Reading the whole log

Each client reads {preload:,} events from the start, repeatedly, in pages of 1,000 (UmaDB: as a stream). Events per second of all clients together; in brackets, ms per 1,000 events.

{readall}

## Orders over HTTP

64 connections post orders of one line for {order_seconds:g} s, each one directly after the answer to the last. The plain handler (`benchmarks/plain-handler`) is actix-web and sqlx as in bascule, checks the same fields and inserts one row, without further work. bascule records the order as an event, and the same process issues its invoice, charges it and confirms the order: {steps} events per order.

{orders}

{saga}

{overload}

## Read models

The orders' read model: SQL tables that follow the log, rows and checkpoint in one transaction. Catching up folds a log of {catch_up:,} events of orders into empty tables. Latency is the time from the command that places an order until its row is visible, with 16 clients that each wait for the row before the next order; across replicas, another process folds the read model.

{projections}

## Limits behind missed targets

{findings}

## Peers

| peer | description |
| --- | --- |
| bascule-postgres, bascule-sqlite | `bascule-bench` on the store that `bascule serve` uses, in one process with its clients |
| bascule-wire | a server of EventStoreDB's protocol on SQLite, the official Rust client; it also runs one module |
| umadb | UmaDB 0.7.8, server and Rust client; a stream is a tag; the condition is that no event has the tag |
| emmett | Emmett 0.42 on PostgreSQL, Node.js |
| postgres-es | postgres-es 0.5, `persist` of its repository |
| pg-single-writer | a bare table; one connection writes all queued requests, at most 256 per transaction: ordered, group commit, no other guarantee of an event store |
| pg-plain | a bare table; one INSERT per request on a connection per client: positions become visible out of order |

PostgreSQL is a throwaway server with default settings (but for port, sockets and `max_connections`); \
`fsync` and `synchronous_commit` are on. SQLite commits with `synchronous=FULL`, UmaDB with its default. Every append run starts on an empty store, after a checkpoint and `sync`. Clients and servers share the cores: a peer with a costly client has less left for its server.

## Repeating the measurements

```sh
make bench                        # about 20 minutes; installs and builds first, once: ten more
make bench SECONDS=10 ROUNDS=5    # longer
benchmarks/stores.py --workload append --clients 16 --peers bascule-postgres,postgres-es
benchmarks/orders.py --seconds 20
target/release/bascule-bench append --store sqlite:/tmp/bench/bascule.db --clients 16 --seconds 5
```

Figures of two machines, or of a busy and a quiet one, are not comparable; ratios within one run are. Every run is kept in `target/benchmarks.json`.
"""


@dataclasses.dataclass
class Target:
    """A target: a measured figure and its bound."""
    text: str
    measured: float | None
    bound: float
    at_most: bool = False
    unit: str = '×'

    @property
    def met(self):
        if self.measured is None:
            return False
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def row(self):
        sign = '≤' if self.at_most else '≥'
        measured = 'not measured' if self.measured is None else figure(self.measured, self.unit)
        return [self.text, f'{sign} {figure(self.bound, self.unit)}', measured, 'met' if self.met else '**missed**']


def figure(value, unit):
    return f'{value:,.0f}{unit}' if value >= 100 else f'{value:.2f}'.rstrip('0').rstrip('.') + unit


def render(results):
    """Returns the page and the number of failed runs."""
    table = {(row['workload'], row['clients'], row['peer']): row for row in results['table']}
    overload = saga_rows(results)
    targets = [*all_targets(table, results['orders'], results['projections']), *saga_targets(overload)]
    missed = [target for target in targets if not target.met]
    page = PAGE.format(
        findings=FINDINGS.read_text().strip(),
        machine=machine(results),
        probe=probe(results['probes']),
        targets=markdown(['', 'target', 'measured', ''], [target.row() for target in targets]),
        verdict='All are met.' if not missed else f'{len(missed)} of {len(targets)} are missed.',
        append=comparison(table, 'append'),
        append10=comparison(table, 'append10'),
        readall=comparison(table, 'readall'),
        orders=orders_table(results['orders']),
        saga=saga(results['orders']),
        overload=overload_section(overload, results),
        projections=projections_table(results['projections']),
        catch_up=results['catch_up'],
        preload=results['preload'],
        rounds=results['rounds'],
        seconds=results['seconds'],
        order_seconds=2 * results['seconds'],
        steps=f'{results["orders"]["bascule"]["events_per_order"]:.0f}',
    )
    return page, sum('error' in run for run in results['runs'])


def all_targets(table, orders, projections):
    def rate(workload, clients, peer):
        return table.get((workload, clients, peer), {}).get('events_per_s')

    def beside(ours, peer, bound, workload, clients):
        ratio = divide(rate(workload, clients, ours), rate(workload, clients, peer))
        what = {'append': 'single appends', 'append10': '10 events an append', 'readall': 'reading the log'}[workload]
        return Target(f'{ours}, {what}, {count(clients, "client")}: beside {peer}', ratio, bound)

    for peer, clients, bound in [('postgres-es', 16, 2.5), ('emmett', 16, 5), ('postgres-es', 64, 5), ('emmett', 64, 5),
                                 ('pg-single-writer', 16, 0.7), ('pg-single-writer', 64, 0.9)]:
        yield beside('bascule-postgres', peer, bound, 'append', clients)
    yield beside('bascule-postgres', 'emmett', 5, 'append10', 16)
    p50 = [table.get(('append', 1, peer), {}).get('p50_ms') for peer in ('bascule-postgres', 'pg-plain')]
    yield Target('bascule-postgres, single appends, 1 client: median time beside pg-plain', divide(*p50), 1.3, at_most=True)
    for clients in (1, 16, 64):
        yield beside('bascule-sqlite', 'umadb', 1.5, 'append', clients)
    yield beside('bascule-wire', 'umadb', 0.8, 'append', 16)
    yield beside('bascule-wire', 'umadb', 0.5, 'readall', 16)
    for ours, bound in (('bascule-postgres', 1.5), ('bascule-sqlite', 1)):
        for clients in (1, 16, 64):
            yield beside(ours, 'pg-plain', bound, 'readall', clients)
    yield Target('orders over HTTP, 64 connections: beside the plain handler',
                 divide(orders['bascule']['requests_per_s'], orders['plain']['requests_per_s']), 1)
    for row in projections:
        name = f'{row["workload"]}, {row["engine"]}'
        if row['workload'] == 'catch-up':
            yield Target(f'read model, {name}', row['events_per_s'], 50_000, unit=' events/s')
        else:
            bound = 150 if 'across' in row['workload'] else 50
            yield Target(f'read model, {name}: 99th percentile', row['p99_ms'], bound, at_most=True, unit=' ms')


def divide(one, other):
    return one / other if one and other else None


def count(number, noun):
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def machine(results):
    facts = results['machine']
    return (f'{facts["processor"]}, {count(facts["cores"], "core")}, {facts["memory_gib"]} GiB; Linux {facts["kernel"]}, '
            f'{facts["file_system"]}; PostgreSQL {facts["postgresql"]}, {facts["rustc"].removesuffix(")").split(" (")[0]}; '
            f'bascule at {facts["commit"]}; {results["at"][:10]}. Load before: {facts["load_before"]:.2f}.')


def probe(probes):
    medians = [one['median'] for one in probes]
    return (f'Overwriting 4 KiB and waiting for the disk (`fdatasync`) took {statistics.median(medians):.2f} ms in the '
            f'median, {min(medians):.2f} to {max(medians):.2f} over {len(medians)} probes, one before every pass: '
            'the disk was the same for all.' if max(medians) < 2 * min(medians) else
            f'Overwriting 4 KiB and waiting for the disk (`fdatasync`) took {min(medians):.2f} to {max(medians):.2f} ms '
            f'over {len(medians)} probes, one before every pass: the disk was not the same for all.')


def comparison(table, workload):
    """Returns the table: a row per peer, a column per number of clients."""
    clients = sorted({key[1] for key in table if key[0] == workload})
    peers = dict.fromkeys(key[2] for key in table if key[0] == workload)
    rows = [[peer, *(cell(table.get((workload, number, peer))) for number in clients)] for peer in peers]
    return markdown(['', *(count(number, 'client') for number in clients)], rows)


def cell(row):
    if not row:
        return ''
    if not row['runs']:
        return 'failed'
    times = ['–' if row[name] is None else f'{row[name]:.2f}' for name in ('p50_ms', 'p99_ms')]
    return f'{row["events_per_s"]:,.0f} ({", ".join(times)})'


def orders_table(orders):
    rows = [[side, f'{row["requests_per_s"]:,.0f}', f'{row["p50_ms"]:.2f}', f'{row["p99_ms"]:.2f}']
            for side, row in orders.items()]
    return markdown(['', 'orders/s', 'p50 ms', 'p99 ms'], rows)


def saga(orders):
    ours = orders['bascule']
    return (f'When the load ended {ours["unconfirmed_at_end"]:,.0f} of {ours["requests"]:,.0f} orders were not confirmed '
            f'yet; {ours["caught_up_after_s"]:.1f} s later all were.')


def saga_rows(results):
    """Returns the measurements of the saga, a row per engine and side; empty if it was not run."""
    return saga_benchmark.medians(results['saga']['runs']) if 'saga' in results else []


#: Confirmed orders a second that are to be reached on two cores.
CONFIRMED = {'sqlite': 800, 'postgres': 400}


def saga_targets(rows):
    for row in rows:
        if row['side'] != 'admission':
            continue
        name = f'the saga under overload, {row["engine"]}'
        yield Target(f'{name}: confirmed', row['confirmed_per_s'], CONFIRMED[row['engine']], unit=' orders/s')
        yield Target(f'{name}: CPU of the server', row['cpu_ms_per_order'], 2, at_most=True, unit=' ms an order')
        yield Target(f'{name}: what the CPU allows that is confirmed', row['cpu_used'], 0.85, unit='')
        yield Target(f'{name}: longest lag', row['longest_lag_s'], 10, at_most=True, unit=' s')
        yield Target(f'{name}, reads: 99th percentile beside quiet', row['read_ratio'], 3, at_most=True)
        yield Target(f'the saga at half load, {row["engine"]}: confirmed, 99th percentile', row['confirmation_p99_ms'],
                     300, at_most=True, unit=' ms')


def overload_section(rows, results):
    if not rows:
        return ''
    head = ['', 'placed/s', 'refused', 'confirmed/s', 'behind at the end', 'longest lag', 'drained after',
            'CPU an order', 'reads p99, quiet → loaded', 'confirmed at half load, p50 / p99']
    table = markdown(head, [[
        f'{row["engine"]}, {row["side"]}', f'{row["placed_per_s"]:,.0f}', f'{row["refused"]:,.0f}',
        f'{row["confirmed_per_s"]:,.0f}', f'{row["unconfirmed_at_end"]:,.0f}', f'{row["longest_lag_s"]:.1f} s',
        f'{row["drained_after_s"]:.1f} s', f'{row["cpu_ms_per_order"]:.2f} ms',
        f'{row["read_quiet_p99_ms"]:.1f} → {row["read_p99_ms"]:.1f} ms',
        f'{row["confirmation_p50_ms"]:.0f} / {row["confirmation_p99_ms"]:.0f} ms'] for row in rows])
    return ('### Overload of the saga\n\n64 connections place orders for '
            f'{results["saga"]["seconds"]:g} s as fast as they are taken in, and wait as long as `Retry-After` says '
            'when they are refused; 100 reads a second go on beside. With admission, and the same build without. '
            'The lag is the age of the oldest event that any subscription has not done; the CPU is the server\'s '
            '(without PostgreSQL\'s), over all orders until the last was confirmed. Then half of what was confirmed '
            f'a second is placed at a constant rate.\n\n{table}')


def projections_table(projections):
    rows = [[f'{row["workload"]}, {row["engine"]}', f'{row["events_per_s"]:,.0f}', stores.ms(row['p50_ms']),
             stores.ms(row['p99_ms'])] for row in projections if row['runs']]
    return markdown(['', 'events/s', 'p50 ms', 'p99 ms'], rows)


def markdown(head, rows):
    """Returns a table; the first column is text, the others are figures."""
    lines = [head, ['---', *('--:' for _ in head[1:])], *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
