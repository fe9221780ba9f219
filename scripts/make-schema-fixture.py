#!/usr/bin/env python3
"""Makes a fixture of the stores as the built binary writes them, on SQLite and on PostgreSQL.

    scripts/make-schema-fixture.py NAME

writes tests/data/schemas/NAME. Run it before a migration is added: `tests/it/schemas.rs` opens every
fixture with the binary of that day, which migrates it, and compares what the API answers with the
side file. The store holds imported aggregates, customers (one closed, two erased), orders that were
paid, returned and voided, a refund, and an event that a read model has parked.

Run it with the oldest PostgreSQL that is supported: what a newer pg_dump writes may not load there.
BIN names another binary than target/debug/bascule.
"""
import contextlib
import gzip
import http.client
import io
import json
import os
import pathlib
import secrets
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMAS = pathlib.Path('tests/data/schemas')
GESCOM = pathlib.Path('docs/examples/gescom')
LISTS = ['customers', 'orders', 'billing/invoices', 'payments', 'payments/refunds']
SORTED = ['customers?sort=registered_at', 'orders?sort=-placed_at',
          'billing/invoices?sort=issued_at', 'payments?sort=-requested_at']
# The row that a cancellation changes is hidden while it is projected, so that the event is parked.
HIDE = 'CREATE TABLE hidden AS SELECT * FROM order_view; DELETE FROM order_view'
COLUMNS = ('id, position, revision, status, customer_id, currency, owner, legacy_source, legacy_id, '
           'document')
SHOW = (f'INSERT INTO order_view ({COLUMNS}) SELECT {COLUMNS} FROM hidden; DROP TABLE hidden')
PATIENCE = 60


def until(what, found):
    """Returns what is found, once something is."""
    begun = time.monotonic()
    while (value := found()) is None:
        if time.monotonic() - begun > PATIENCE:
            raise SystemExit(f'{what} did not happen within {PATIENCE} s')
        time.sleep(0.05)
    return value


class Sqlite:
    """A store in files."""

    def __init__(self, folder):
        self.folder = folder
        self.url = f'sqlite:{folder}/bascule.db'

    def execute(self, module, statements):
        with contextlib.closing(sqlite3.connect(self.file(module), timeout=PATIENCE)) as tables:
            tables.executescript(f'BEGIN IMMEDIATE; {statements}; COMMIT')

    def file(self, module):
        return self.folder / f'bascule.{module}.db'

    def migrations(self):
        """Returns the versions that were applied, per database."""
        applied = {}
        for file in sorted(self.folder.glob('*.db')):
            name = file.name.split('.')[1]
            with contextlib.closing(sqlite3.connect(file)) as tables:
                rows = tables.execute('SELECT version FROM _sqlx_migrations ORDER BY version')
                applied['event_store' if name == 'db' else name] = [version for version, in rows]
        return applied

    def keep(self, target):
        """Writes the files into an archive that is the same for the same files."""
        assert not list(self.folder.glob('*-wal')), 'the server left a write-ahead log'
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode='w') as tar:
            for file in sorted(self.folder.glob('*.db')):
                with contextlib.closing(sqlite3.connect(file)) as tables:
                    tables.execute('VACUUM')
                member = tarfile.TarInfo(file.name)
                member.size = file.stat().st_size
                tar.addfile(member, io.BytesIO(file.read_bytes()))
        write_gz(target / 'sqlite.tar.gz', archive.getvalue())


class Postgres:
    """A store in a database of its own on the throwaway server."""

    def __init__(self, folder):
        self.server = os.environ['BASCULE_TEST_POSTGRES']
        self.name = f'fixture_{secrets.token_hex(4)}'
        self.url = f"{self.server.rsplit('/', 1)[0]}/{self.name}"
        self.program('psql', '-Xqd', self.server, '-c', f'CREATE DATABASE {self.name}')

    def program(self, name, *arguments):
        path = pathlib.Path(os.environ['BASCULE_TEST_POSTGRES_BIN']) / name
        return subprocess.run([path, *arguments], check=True, capture_output=True, text=True).stdout

    def execute(self, module, statements):
        self.program('psql', '-Xqd', self.url, '-v', 'ON_ERROR_STOP=1', '-c',
                     f'SET search_path TO {module}; {statements}')

    def migrations(self):
        """Returns the versions that were applied, per schema."""
        schemas = self.program('psql', '-XAtqd', self.url, '-c', 'SELECT schemaname FROM pg_tables '
                               "WHERE tablename = '_sqlx_migrations' ORDER BY 1").split()
        applied = {}
        for schema in schemas:
            rows = self.program('psql', '-XAtqd', self.url, '-c',
                                f'SELECT version FROM {schema}._sqlx_migrations ORDER BY 1')
            applied[schema] = [int(version) for version in rows.split()]
        return applied

    def keep(self, target):
        """Writes the statements that make the database, without what only psql understands."""
        dump = self.program('pg_dump', '--inserts', '--rows-per-insert=100', '--no-owner',
                            '--no-privileges', self.url)
        lines = [line for line in dump.splitlines(keepends=True) if not line.startswith('\\')]
        write_gz(target / 'postgres.sql.gz', ''.join(lines).encode())
        self.program('psql', '-Xqd', self.server, '-c', f'DROP DATABASE {self.name} WITH (FORCE)')


def write_gz(file, content):
    """Writes a file that is the same for the same content."""
    file.write_bytes(gzip.compress(content, mtime=0))


class Server:
    """The binary, serving a store."""

    def __init__(self, binary, environment, folder):
        addresses = folder / 'addresses.json'
        environment = environment | {'BASCULE_ADDRESS_FILE': str(addresses)}
        self.log = (folder / 'server.log').open('w')
        listen = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0']
        self.process = subprocess.Popen([binary, 'serve', *listen], env=environment,
                                        stdout=self.log, stderr=self.log)

        def told():
            if self.process.poll() is not None:
                raise SystemExit((folder / 'server.log').read_text())
            return json.loads(addresses.read_text()) if addresses.exists() else None
        found = until('the start of the server', told)
        self.http, self.admin = found['http'], found['admin']

    def ask(self, method, path, body=None, admin=False, key=None):
        """Returns status and answer."""
        address = urllib.parse.urlsplit(self.admin if admin else self.http).netloc
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        headers = {'Content-Type': 'application/json'} | ({'Idempotency-Key': key} if key else {})
        body = body if body is None or isinstance(body, str) else json.dumps(body)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or 'null')

    def get(self, path, admin=False):
        status, answer = self.ask('GET', path, admin=admin)
        if status != 200:
            raise SystemExit(f'GET {path}: {status} {answer}')
        return answer

    def post(self, path, body=None, admin=False, key=None):
        status, answer = self.ask('POST', path, {} if body is None else body, admin, key)
        if status not in (200, 201, 202):
            raise SystemExit(f'POST {path}: {status} {answer}')
        return answer

    def until(self, path, wanted, admin=False):
        """Returns the answer, once it is as wanted."""
        def found():
            status, answer = self.ask('GET', path, admin=admin)
            return answer if status == 200 and wanted(answer) else None
        return until(f'what is wanted of {path}', found)

    def until_at_rest(self):
        """Waits until every subscription has done all there is."""
        self.until('/admin/subscriptions',
                   lambda answer: all(one['lag_events'] == 0 for one in answer['items']), admin=True)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(PATIENCE) != 0:
            raise SystemExit('the server did not stop in order')


def customer(name, email):
    return {'kind': 'person', 'name': name, 'email': email,
            'address': {'line1': '1 rue de la Paix', 'postal_code': '75002', 'city': 'Paris',
                        'country': 'FR'}}


def order(customer_id, method):
    return {'customer_id': customer_id, 'currency': 'EUR', 'payment_method': method, 'lines': [
        {'sku': 'CH-1', 'description': 'Chaise', 'quantity': '2', 'unit_price': '49.90',
         'vat_rate': '20'},
        {'sku': 'TA-1', 'description': 'Table', 'quantity': '1', 'unit_price': '120.00',
         'vat_rate': '20'}]}


# What is asked with an Idempotency-Key: the test asks again with the same text, and gets the same answer.
REPEATED = {'path': '/api/v1/customers', 'key': 'fixture-1',
            'body': json.dumps(customer('Ada Martin', 'ada@exemple.fr'))}


def placed(server, customer_id, method, status):
    order_id = server.post('/api/v1/orders', order(customer_id, method))['id']
    server.until(f'/api/v1/orders/{order_id}', lambda one: one['status'] == status)
    return order_id


def payment_of(server, order_id):
    invoices = server.until(f'/api/v1/billing/invoices?order_id={order_id}', lambda page: page['items'])
    invoice_id = invoices['items'][0]['id']
    payments = server.until(f'/api/v1/payments?invoice_id={invoice_id}', lambda page: page['items'])
    return payments['items'][0]['id']


def trade(server, store):
    """Fills the store."""
    post, get = server.post, server.get
    ada = post(REPEATED['path'], REPEATED['body'], key=REPEATED['key'])['id']
    bob, lise = (post('/api/v1/customers', customer(name, email))['id'] for name, email in
                 [('Bob Durand', 'bob@exemple.fr'), ('Lise Petit', 'lise@exemple.fr')])
    post(f'/api/v1/customers/{bob}/change-contact', {'email': 'durand@exemple.fr'})
    post(f'/api/v1/customers/{bob}/change-address',
         {'address': {'line1': '2 quai Perrache', 'postal_code': '69002', 'city': 'Lyon',
                      'country': 'FR'}})

    placed(server, ada, 'sandbox:ok', 'confirmed')
    placed(server, ada, 'sandbox:declined', 'cancelled')
    returned = placed(server, bob, 'sandbox:ok', 'confirmed')
    post(f'/api/v1/orders/{returned}/fulfil')
    post(f'/api/v1/orders/{returned}/return',
         {'reason': 'pas la bonne couleur', 'lines': [{'line': 1, 'quantity': '1'}]})
    refunded = payment_of(server, placed(server, ada, 'sandbox:ok', 'confirmed'))
    post(f'/api/v1/payments/{refunded}/refunds', {'reason': 'un pied cassé', 'amount': '10.00'})
    refused = payment_of(server, placed(server, ada, 'sandbox:refund-refused', 'confirmed'))
    post(f'/api/v1/payments/{refused}/refund', {'reason': 'arrivé trop tard'})
    deferred = post('/api/v1/orders', order(bob, 'sandbox:never'))['id']
    post(f'/api/v1/orders/{deferred}/confirm')
    post(f'/api/v1/payments/{payment_of(server, deferred)}/cancel')
    withdrawn = placed(server, ada, 'sandbox:ok', 'confirmed')
    post(f'/api/v1/orders/{withdrawn}/cancel', {'reason': 'commandé deux fois'})
    server.until_at_rest()

    post(f'/api/v1/customers/{bob}/close', {'reason': 'déménage'})
    imported = get('/api/v1/customers?owner=legacy&limit=200')['items'][-1]['id']
    for erased in [lise, imported]:
        until(f'the erasure of {erased}', lambda one=erased: post(
            f'/admin/customers/{one}/erase', admin=True)['complete'] or None)

    parked = placed(server, ada, 'sandbox:ok', 'confirmed')
    server.until_at_rest()
    store.execute('orders', HIDE)
    post(f'/api/v1/orders/{parked}/cancel', {'reason': 'changé d’avis'})
    server.until('/admin/parked', lambda answer: answer['items'], admin=True)
    server.until_at_rest()
    store.execute('orders', SHOW)


def answers(server):
    """Returns what the API answers of everything there is."""
    paths = [f'/api/v1/{of}{"&" if "?" in of else "?"}limit=200' for of in LISTS + SORTED]
    told = {path: server.get(path) for path in paths}
    for name in ['customers', 'orders', 'billing/invoices', 'payments']:
        for item in told[f'/api/v1/{name}?limit=200']['items']:
            path = f"/api/v1/{name}/{item['id']}"
            told |= {path: server.get(path), f'{path}/history': server.get(f'{path}/history')}
    return told


def make(engine, binary, target):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        store = engine(folder)
        environment = {
            'BASCULE_STORE': store.url, 'BASCULE_MASTER_KEY_FILE': str(target / 'master.key'),
            'BASCULE_PAYMENTS__FIRST_PAUSE_MS': '20', 'BASCULE_PAYMENTS__LONGEST_PAUSE_MS': '200'}
        subprocess.run([binary, 'import', '--mapping', GESCOM / 'mapping.toml', '--format', 'debezium',
                        GESCOM / 'feed.jsonl'], env=environment, check=True, capture_output=True)
        server = Server(binary, environment, folder)
        try:
            trade(server, store)
            parked = server.get('/admin/parked', admin=True)['items']
            told = {
                'migrations': store.migrations(),
                'head': server.get('/readyz', admin=True)['head'],
                'parked': [{name: one[name] for name in ['subscription', 'position']}
                           for one in parked],
                'repeated': REPEATED | {
                    'answer': server.post(REPEATED['path'], REPEATED['body'], key=REPEATED['key'])},
                'answers': answers(server),
            }
            server.stop()
        finally:
            server.process.kill()
        name = engine.__name__.lower()
        write_gz(target / f'{name}.json.gz',
                 (json.dumps(told, ensure_ascii=False, indent=1) + '\n').encode())
        store.keep(target)


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    if 'BASCULE_TEST_POSTGRES' not in os.environ:
        os.execv(ROOT / 'scripts/with-postgres.sh', ['with-postgres.sh', *sys.argv])
    os.chdir(ROOT)
    binary = pathlib.Path(os.environ.get('BIN', 'target/debug/bascule')).resolve()
    target = (SCHEMAS / sys.argv[1]).resolve()
    target.mkdir(parents=True)
    # Of its own, so that nothing else can be opened with it.
    (target / 'master.key').write_text(secrets.token_hex(32))
    for engine in [Sqlite, Postgres]:
        make(engine, binary, target)
    for file in sorted(target.iterdir()):
        print(f'{file.relative_to(ROOT)}: {file.stat().st_size} bytes')


if __name__ == '__main__':
    main()
