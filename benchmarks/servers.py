"""The servers that benchmarks run against, and what is to be known of the machine."""
import contextlib
import os
import pathlib
import platform
import pwd
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
#: Where setup.sh installs what is compared.
PEERS_DIR = pathlib.Path(os.environ.get('PEERS_DIR', REPOSITORY / 'target/peers')).resolve()
#: What is measured; scripts that measure it read the same variable.
BASCULE = pathlib.Path(os.environ.get('RELEASE_BIN', REPOSITORY / 'target/release/bascule')).resolve()
BENCH = pathlib.Path(os.environ.get('BENCH_BIN', REPOSITORY / 'target/release/bascule-bench')).resolve()


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def wait_until(condition, seconds, what, every=0.05):
    """Until a condition holds; a RuntimeError when it takes longer."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f'{what} took longer than {seconds} s')
        time.sleep(every)


class Server:
    """A process that listens; its output goes to a file."""

    def __init__(self, command, log, *, port=None, ready=None, stop_with=signal.SIGTERM, **options):
        self.log, self.stop_with = pathlib.Path(log), stop_with
        with self.log.open('w') as output:
            self.process = subprocess.Popen([str(part) for part in command], stdout=output,
                                            stderr=subprocess.STDOUT, **options)
        try:
            wait_until(ready or (lambda: self.accepts(port)), 60, f'the start of {command[0]}')
        except BaseException:
            self.stop()
            raise

    def accepts(self, port):
        if self.process.poll() is not None:
            sys.exit(f'a server did not start; its log ends:\n{self.log.read_text()[-2000:]}')
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
            return True
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(self.stop_with)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def postgres_bin():
    find = '. "$1"; postgres_bin'
    found = subprocess.run(['bash', '-c', find, 'bash', REPOSITORY / 'scripts/lib/postgres.sh'],
                           capture_output=True, text=True)
    if found.returncode:
        sys.exit('there is no PostgreSQL 15 or newer on this machine: run scripts/install-test-tools.sh')
    return pathlib.Path(found.stdout)


class Postgres:
    """A throwaway server: default configuration but for port, sockets and the number of connections."""

    def __init__(self, folder):
        self.bin, self.port = postgres_bin(), free_port()
        data = pathlib.Path(folder) / 'postgres'
        data.mkdir(0o700)
        who = {}
        if os.getuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam('postgres')
            os.chown(data, user.pw_uid, user.pw_gid)
            who = {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}
        subprocess.run([self.bin / 'initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
                        '--locale=C.UTF-8'], check=True, stdout=subprocess.DEVNULL, cwd=data, **who)
        options = {'port': self.port, 'listen_addresses': '127.0.0.1', 'unix_socket_directories': '',
                   'max_connections': 200}
        command = [self.bin / 'postgres', '-D', data, *(f'--{name}={value}' for name, value in options.items())]
        # It takes connections a moment before it takes queries.
        pg_isready = [self.bin / 'pg_isready', '-q', '-d', self.url('postgres')]
        self.server = Server(command, pathlib.Path(folder) / 'postgres.log', stop_with=signal.SIGINT,
                             ready=lambda: subprocess.run(pg_isready).returncode == 0, cwd=data, **who)
        self.version = self.sql('SHOW server_version')
        durable = {self.sql('SHOW fsync'), self.sql('SHOW synchronous_commit')}
        assert durable == {'on'}, 'a server that loses commits is no comparison'

    def url(self, database):
        return f'postgresql://postgres@127.0.0.1:{self.port}/{database}'

    def sql(self, *statements, database='postgres'):
        """The last result, as psql prints it."""
        arguments = [argument for statement in statements for argument in ('-c', statement)]
        ran = subprocess.run([self.bin / 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', self.url(database), *arguments],
                             check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def create(self, database):
        """An empty database, whatever was there before."""
        self.drop(database)
        self.sql(f'CREATE DATABASE {database}')

    def drop(self, database):
        self.sql(f'DROP DATABASE IF EXISTS {database} WITH (FORCE)')

    def exists(self, database):
        return bool(self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{database}'"))

    def settle(self):
        """Leaves nothing of what was done to be written during what comes."""
        self.sql('CHECKPOINT')
        os.sync()

    def stop(self):
        self.server.stop()


class UmaDb(Server):
    """A server with default options on a folder of its own."""

    def __init__(self, folder, data):
        data.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f'http://127.0.0.1:{port}'
        super().__init__([PEERS_DIR / 'bin/umadb', '--listen', f'127.0.0.1:{port}', '--db-path', data],
                         pathlib.Path(folder) / 'umadb.log', port=port)


class Wire(Server):
    """bascule on a SQLite file of its own, serving EventStoreDB's protocol. It runs one module: whoever
    wants the store alone has none that listens."""

    def __init__(self, folder, data):
        port = free_port()
        self.url = f'esdb://127.0.0.1:{port}?tls=false'
        command = [BASCULE, 'serve', '--store', f'sqlite:{data}/bascule.db', '--modules', 'payments',
                   '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', '--wire-listen', f'127.0.0.1:{port}']
        environment = dict(os.environ, BASCULE_MASTER_KEY='0' * 64, BASCULE_LOG__FILTER='warn')
        super().__init__(command, pathlib.Path(folder) / 'wire.log', port=port, env=environment, cwd=folder)


@contextlib.contextmanager
def workspace():
    """A folder for everything that a benchmark leaves, removed afterwards. On the disk that the stores
    are to be measured on: TMPDIR chooses it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('stopped'))
    folder = pathlib.Path(tempfile.mkdtemp(prefix='bascule-bench-'))
    folder.chmod(0o755)  # the user postgres must be able to enter it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fdatasync_ms(folder, times=200):
    """Median and 99th percentile, in milliseconds, of overwriting 4 KiB and waiting until they are on
    the disk, as a write-ahead log does."""
    path, took = pathlib.Path(folder) / 'probe', []
    with path.open('wb', buffering=0) as file:
        file.write(bytes(4096 * times))
        os.fsync(file.fileno())
        for number in range(times):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), b'x' * 4096, 4096 * number)
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begun) * 1e3)
    path.unlink()
    return {'median': statistics.median(took), 'p99': sorted(took)[int(times * 0.99)]}


def machine(postgres):
    """What figures depend on."""
    model = re.search(r'model name\s*: (.*)', pathlib.Path('/proc/cpuinfo').read_text())
    memory = re.search(r'MemTotal:\s*(\d+) kB', pathlib.Path('/proc/meminfo').read_text())
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=REPOSITORY, capture_output=True, text=True)
    return {
        'processor': model[1] if model else platform.machine(),
        'cores': os.cpu_count(),
        'memory_gib': round(int(memory[1]) / 1024 ** 2) if memory else None,
        'kernel': platform.release(),
        'file_system': subprocess.run(['stat', '-f', '-c', '%T', tempfile.gettempdir()], capture_output=True,
                                      text=True).stdout.strip(),
        'postgresql': postgres.version,
        'rustc': subprocess.run(['rustc', '--version'], capture_output=True, text=True).stdout.strip(),
        'commit': commit.stdout.strip(),
        'load_before': os.getloadavg()[0],
    }
