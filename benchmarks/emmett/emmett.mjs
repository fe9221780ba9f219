// One measured run of Emmett on PostgreSQL, closed loop, driven by the same environment as the
// other peers: WORKLOAD, CLIENTS, SECONDS, PRELOAD, PG_URL. Prints one JSON line.
import { dumbo } from '@event-driven-io/dumbo';
import { getPostgreSQLEventStore, readMessagesBatch } from '@event-driven-io/emmett-postgresql';
import { randomUUID } from 'node:crypto';
import pg from 'pg';

const { PG_URL, WORKLOAD } = process.env;
const [clients, seconds, preload] = ['CLIENTS', 'SECONDS', 'PRELOAD'].map((name) => Number(process.env[name]));
const batch = { append: 1, append10: 10, readall: 0 }[WORKLOAD];
if (batch === undefined) throw new Error(`there is no workload ${WORKLOAD}`);
const PAGE = 1000; // as the other readers

// One connection a client: the default pool would stop at 10.
const pool = new pg.Pool({ connectionString: PG_URL, max: clients });
const store = getPostgreSQLEventStore(PG_URL, { connectionOptions: { pool } });
await store.schema.migrate();

const note = 'payload '.padEnd(128, 'x');
const event = () => ({
  type: 'OrderPlaced',
  data: {
    order_id: randomUUID(),
    customer: 'c-123456',
    amount: 1234,
    currency: 'EUR',
    lines: [
      { sku: 'ABC-1', qty: 2 },
      { sku: 'ABC-2', qty: 1 },
    ],
    note,
  },
  metadata: {},
});
const append = (stream, count) =>
  store.appendToStream(stream, Array.from({ length: count }, event), {
    expectedStreamVersion: 'STREAM_DOES_NOT_EXIST',
  });

const milliseconds = [];
let events = 0;
let end = Infinity;
const isOver = () => performance.now() >= end;

async function appendUntilOver() {
  while (!isOver()) {
    const begun = performance.now();
    await append('o-' + randomUUID(), batch);
    milliseconds.push(performance.now() - begun);
    events += batch;
  }
}

// The page query of Emmett's own consumer, without its processors and checkpoints.
const { execute } = dumbo({ connectionString: PG_URL, pool });
async function readUntilOver() {
  while (!isOver()) {
    let after = 0n;
    let seen = 0;
    let more = true;
    while (more && !isOver()) {
      const begun = performance.now();
      const page = await readMessagesBatch(execute, { after, batchSize: PAGE });
      const count = page.messages.length;
      if (count) milliseconds.push(((performance.now() - begun) * PAGE) / count);
      events += count;
      seen += count;
      after = page.currentGlobalPosition;
      more = page.areMessagesLeft;
    }
    if (!more && !isOver() && seen !== preload) {
      throw new Error(`a whole pass gave ${seen} of ${preload} events`);
    }
  }
}

if (batch) {
  // Every connection is warmed, uncounted.
  await Promise.all(Array.from({ length: clients }, () => append('warm-' + randomUUID(), batch)));
} else if ((await pool.query('SELECT 1 FROM emt_messages LIMIT 1')).rowCount === 0) {
  // One append after the other: its readers page by position, in the order of transactions.
  for (let number = 0; number < preload / 100; number++) await append('s-' + number, 100);
  for (const statement of ['VACUUM ANALYZE', 'CHECKPOINT']) await pool.query(statement);
}
const begun = performance.now();
end = begun + seconds * 1000;
await Promise.all(Array.from({ length: clients }, batch ? appendUntilOver : readUntilOver));
const elapsed = (performance.now() - begun) / 1000;
milliseconds.sort((a, b) => a - b);
const percentile = (part) =>
  milliseconds[Math.min(milliseconds.length - 1, Math.floor(milliseconds.length * part))] ?? null;
console.log(
  JSON.stringify({
    events_per_s: events / elapsed,
    p50_ms: percentile(0.5),
    p99_ms: percentile(0.99),
    events,
  }),
);
process.exit(0);
