// What @kurrent/kurrentdb-client, the client in JavaScript, does with a server. It reads through a
// native library and appends by BatchAppend, or by Append when a call has credentials of its own.
//
//   client.mjs <address> [<certificate>]
//
// With a certificate the connection is by TLS, and there are accounts: ada, who may read and append,
// and eve, who may read. The test restarts the server when a line "restart" is printed, and answers
// with a line when it is back.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
    ANY, AccessDeniedError, BACKWARDS, END, KurrentDBClient, MaxAppendSizeExceededError, NO_STREAM,
    START, STREAM_EXISTS, StreamDeletedError, StreamNotFoundError, UnavailableError,
    WrongExpectedVersionError, binaryEvent, eventTypeFilter, excludeSystemEvents, jsonEvent,
    streamNameFilter,
} from '@kurrent/kurrentdb-client';

const [address, certificate] = process.argv.slice(2);
const FITTING = 1024 * 1024 - 'Large'.length;

function connect(account = 'ada:swordfish') {
    const tls = certificate ? `tls=true&tlsCAFile=${certificate}` : 'tls=false';
    const who = certificate ? `${account}@` : '';
    return KurrentDBClient.connectionString(
        `kurrentdb://${who}${address}?${tls}&discoveryInterval=50&maxDiscoverAttempts=100`);
}

const event = (number = 0) => jsonEvent({ id: randomUUID(), type: 'Counted', data: { number } });
const some = (count) => Array.from({ length: count }, (_, number) => event(number));
const stream = (name) => `node-${name}`;

async function all(read) {
    const events = [];
    for await (const resolved of read) events.push(resolved.event);
    return events;
}

async function revisions(read) {
    return (await all(read)).map((event) => Number(event.revision));
}

const upTo = (count) => Array.from({ length: count }, (_, number) => number);

// By Append rather than BatchAppend, which is what credentials of a single call lead to.
const single = certificate ? { credentials: { username: 'ada', password: 'swordfish' } } : {};

async function appending(client) {
    for (const [way, options] of Object.entries({ batch: {}, single })) {
        const name = stream(`appending-${way}`);
        const append = (streamState) =>
            client.appendToStream(name, event(), { streamState, ...options });
        const conflict = async (streamState, actual) => {
            await assert.rejects(append(streamState), (error) => {
                assert(error instanceof WrongExpectedVersionError, error);
                assert.equal(error.actualState, actual);
                assert.equal(error.expectedState, streamState);
                return true;
            });
        };
        await conflict(STREAM_EXISTS, 'no_stream');
        await conflict(0n, 'no_stream');
        const first = await append(NO_STREAM);
        assert.equal(first.success, true);
        assert.equal(first.nextExpectedRevision, 0n);
        await conflict(NO_STREAM, 0n);
        await conflict(1n, 0n);
        await append(0n);
        await append(STREAM_EXISTS);
        const last = await append(ANY);
        assert.equal(last.nextExpectedRevision, 3n);
        const [read] = await all(client.readStream(name, { direction: BACKWARDS, fromRevision: END, maxCount: 1 }));
        assert.equal(read.position.commit, last.position.commit);
        assert.equal(read.position.prepare, last.position.prepare);
    }

    const name = stream('back');
    const written = jsonEvent({
        id: randomUUID(), type: 'Greeted', data: { name: 'Ada' }, metadata: { colour: 'red' },
    });
    await client.appendToStream(name, written, { streamState: NO_STREAM });
    await client.appendToStream(name, written, { streamState: NO_STREAM });
    const scanned = binaryEvent({ id: randomUUID(), type: 'Scanned', data: new Uint8Array([0, 255, 128]) });
    await client.appendToStream(name, scanned);
    const [json, binary] = await all(client.readStream(name));
    assert.equal(json.id, written.id);
    assert.equal(json.type, 'Greeted');
    assert.deepEqual(json.data, { name: 'Ada' });
    assert.deepEqual(json.metadata, { colour: 'red' });
    assert(Math.abs(Date.now() - json.created) < 60_000, json.created);
    assert.equal(binary.isJson, false);
    assert.deepEqual([...binary.data], [0, 255, 128]);

    // In pieces: one append of several messages.
    const pieces = stream('pieces');
    await client.appendToStream(pieces, some(500), { streamState: NO_STREAM, batchAppendSize: 1_000 });
    assert.deepEqual(await revisions(client.readStream(pieces)), upTo(500));
    // Many at a time, over one call.
    const together = stream('together');
    await Promise.all(upTo(200).map((number) => client.appendToStream(together, event(number))));
    assert.deepEqual((await all(client.readStream(together))).map((event) => event.data.number), upTo(200));
}

async function reading(client) {
    const name = stream('reading');
    await client.appendToStream(name, some(10));
    assert.deepEqual(await revisions(client.readStream(name)), upTo(10));
    assert.deepEqual(await revisions(client.readStream(name, { fromRevision: 7n })), [7, 8, 9]);
    assert.deepEqual(await revisions(client.readStream(name, { maxCount: 2 })), [0, 1]);
    const backwards = { direction: BACKWARDS, fromRevision: END };
    assert.deepEqual(await revisions(client.readStream(name, backwards)), upTo(10).reverse());
    assert.deepEqual(await revisions(client.readStream(name, { direction: BACKWARDS, fromRevision: 1n })), [1, 0]);
    await assert.rejects(all(client.readStream(stream('nothing'))), StreamNotFoundError);

    const events = (await all(client.readAll())).filter((event) => event.streamId === name);
    assert.deepEqual(events.map((event) => Number(event.revision)), upTo(10));
    const position = events[4].position;
    const [first] = await all(client.readAll({ fromPosition: position, maxCount: 1 }));
    assert.equal(first.id, events[4].id);
    const [before] = await all(client.readAll({ fromPosition: position, direction: BACKWARDS, maxCount: 1 }));
    assert.equal(before.id, events[3].id);
    const [last] = await all(client.readAll({ fromPosition: END, direction: BACKWARDS, maxCount: 1 }));
    assert.equal(last.id, events[9].id);
}

async function metadata(client) {
    const name = stream('metadata');
    await client.appendToStream(name, some(10));
    assert.equal((await client.getStreamMetadata(name)).metadata, undefined);
    await client.setStreamMetadata(name, { maxCount: 4, colour: 'red' });
    const found = await client.getStreamMetadata(name);
    assert.equal(found.metadata.maxCount, 4);
    assert.equal(found.metadata.colour, 'red');
    assert.deepEqual(await revisions(client.readStream(name)), [6, 7, 8, 9]);
    await client.setStreamMetadata(name, { truncateBefore: 8 });
    assert.deepEqual(await revisions(client.readStream(name)), [8, 9]);
}

async function deleting(client) {
    const name = stream('deleting');
    await client.appendToStream(name, some(3));
    await assert.rejects(client.deleteStream(name, { expectedRevision: 0n }), (error) => {
        assert(error instanceof WrongExpectedVersionError, error);
        assert.equal(error.actualState, 2n);
        return true;
    });
    const deleted = await client.deleteStream(name, { expectedRevision: 2n });
    assert(deleted.position.commit > 0n);
    await assert.rejects(all(client.readStream(name)), StreamNotFoundError);
    const revived = await client.appendToStream(name, event(), { streamState: NO_STREAM });
    assert.equal(revived.nextExpectedRevision, 3n);
    assert.deepEqual(await revisions(client.readStream(name)), [3]);

    await assert.rejects(client.tombstoneStream(name, { expectedRevision: 0n }), WrongExpectedVersionError);
    await client.tombstoneStream(name, { expectedRevision: 3n });
    await assert.rejects(all(client.readStream(name)), StreamDeletedError);
    await assert.rejects(client.appendToStream(name, event()), StreamDeletedError);
    await assert.rejects(client.deleteStream(name), StreamDeletedError);
    await assert.rejects(client.tombstoneStream(name), StreamDeletedError);
}

async function large(client) {
    const name = stream('large');
    const of = (size) => binaryEvent({ id: randomUUID(), type: 'Large', data: new Uint8Array(size) });
    await client.appendToStream(name, [of(FITTING), of(FITTING)]);
    assert.deepEqual((await all(client.readStream(name))).map((event) => event.data.length), [FITTING, FITTING]);
    await assert.rejects(client.appendToStream(name, of(FITTING + 1)), (error) => {
        assert(error instanceof MaxAppendSizeExceededError, error);
        assert.equal(error.maxAppendSize, 1024 * 1024);
        return true;
    });

    const long = stream('long');
    await client.appendToStream(long, some(10_000));
    assert.deepEqual(await revisions(client.readStream(long)), upTo(10_000));
}

// The events of a subscription one by one, and the moments it tells of.
class Followed {
    constructor(subscription) {
        this.subscription = subscription;
        this.events = subscription[Symbol.asyncIterator]();
    }

    async next() {
        return (await this.events.next()).value.event;
    }
}

async function subscribing(client) {
    const name = stream('subscribing');
    await client.appendToStream(name, some(3));
    const subscription = client.subscribeToStream(name, { fromRevision: 0n });
    const caughtUp = once(subscription, 'caughtUp');
    const confirmed = once(subscription, 'confirmation');
    const followed = new Followed(subscription);
    assert.equal((await followed.next()).revision, 1n);
    assert.equal((await followed.next()).revision, 2n);
    await confirmed;
    const next = followed.next();
    const [told] = await caughtUp;
    assert.equal(told.revision, 2n);
    await client.appendToStream(name, event());
    assert.equal((await next).revision, 3n);
    await subscription.unsubscribe();

    // Only what is wanted comes; checkpoints tell how far it looked.
    const [last] = await all(client.readAll({ fromPosition: END, direction: BACKWARDS, maxCount: 1 }));
    const checkpoints = [];
    const filter = streamNameFilter({
        prefixes: [`${name}-wanted`],
        maxSearchWindow: 5,
        checkpointInterval: 1,
        checkpointReached: (_, position) => { checkpoints.push(position.commit); },
    });
    const filtered = client.subscribeToAll({ fromPosition: last.position, filter });
    const wanted = new Followed(filtered);
    await client.appendToStream(name, some(5));
    await client.appendToStream(`${name}-wanted`, event());
    assert.equal((await wanted.next()).streamId, `${name}-wanted`);
    assert(checkpoints.length > 0);
    assert(checkpoints.every((position) => position > last.position.commit), checkpoints);
    await filtered.unsubscribe();

    for (const filter of [excludeSystemEvents(), eventTypeFilter({ regex: '^(?!\\$)' })]) {
        const without = client.subscribeToAll({ fromPosition: START, filter });
        const events = new Followed(without);
        for (let count = 0; count < 20; count += 1) {
            assert(!(await events.next()).type.startsWith('$'));
        }
        await without.unsubscribe();
    }
    return last.position;
}

// Whoever does not take what it is sent holds nobody up, and misses nothing.
async function slow(client) {
    const name = stream('slow');
    const subscription = client.subscribeToStream(name);
    await once(subscription, 'confirmation');
    for (let count = 0; count < 100; count += 1) {
        await client.appendToStream(name, binaryEvent({ id: randomUUID(), type: 'Large', data: new Uint8Array(200_000) }));
    }
    const followed = new Followed(subscription);
    for (let revision = 0n; revision < 100n; revision += 1n) {
        assert.equal((await followed.next()).revision, revision);
    }
    await subscription.unsubscribe();
}

async function acrossARestart(client, position) {
    const name = stream('restarted');
    await client.appendToStream(name, some(2));
    const subscription = client.subscribeToStream(name);
    const ended = once(subscription, 'error').catch((error) => [error]);
    const followed = new Followed(subscription);
    assert.equal((await followed.next()).revision, 0n);
    assert.equal((await followed.next()).revision, 1n);

    process.stdout.write('restart\n');
    const rest = followed.next().catch((error) => error);
    await once(process.stdin, 'data');

    // It was told that the server is going, and not just cut off.
    const told = [await rest, ...(await Promise.race([ended, Promise.resolve([])]))];
    assert(told.some((error) => error instanceof UnavailableError && /stopping/.test(error.message)), told);

    const again = connect();
    await again.appendToStream(name, event());
    const resumed = new Followed(again.subscribeToStream(name, { fromRevision: 1n }));
    assert.equal((await resumed.next()).revision, 2n);
    const filter = streamNameFilter({ prefixes: [name] });
    const everything = new Followed(again.subscribeToAll({ fromPosition: position, filter }));
    for (const revision of [0n, 1n, 2n]) {
        assert.equal((await everything.next()).revision, revision);
    }
    await again.dispose();
}

async function accounts() {
    const eve = connect('eve:swordfish');
    assert((await all(eve.readStream(stream('reading'), { maxCount: 1 }))).length === 1);
    await assert.rejects(eve.appendToStream(stream('eve'), event()), AccessDeniedError);
    for (const wrong of ['ada:sword', 'nobody:swordfish']) {
        const client = connect(wrong);
        await assert.rejects(all(client.readStream(stream('reading'))), AccessDeniedError);
        await assert.rejects(client.appendToStream(stream('wrong'), event()), AccessDeniedError);
        await client.dispose();
    }
    await eve.dispose();
    const ada = connect();
    await assert.rejects(ada.appendToStream('order-1', event()), AccessDeniedError);
    await ada.dispose();
}

const client = connect();
await appending(client);
await reading(client);
if (certificate) {
    await accounts();
} else {
    await metadata(client);
    await deleting(client);
    await large(client);
    const position = await subscribing(client);
    await slow(client);
    await acrossARestart(client, position);
}
await client.dispose();
process.stdout.write('done\n');
process.exit(0);
