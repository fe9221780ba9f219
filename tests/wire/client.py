"""What kurrentdbclient, the client in Python, does with a server.

    client.py <address> [<certificate>]

With a certificate the connection is by TLS, and there are accounts: ada, who may read and append, and
eve, who may read (this client keeps credentials to itself without TLS). The test restarts the server
when a line "restart" is printed, and answers with a line when it is back.
"""

import json
import sys
import threading
import uuid

from kurrentdbclient import Checkpoint, CaughtUp, KurrentDBClient, NewEvent, StreamState
from kurrentdbclient.exceptions import (
    AccessDeniedError,
    FailedPreconditionError,
    MaximumAppendSizeExceededError,
    NotFoundError,
    ServiceUnavailableError,
    StreamIsDeletedError,
    UnauthenticatedError,
    WrongCurrentVersionError,
)

ADDRESS = sys.argv[1]
CERTIFICATE = open(sys.argv[2]).read() if len(sys.argv) > 2 else None
FITTING = 1024 * 1024 - len("Large")


def connect(account="ada:swordfish"):
    tls = "true" if CERTIFICATE else "false"
    url = f"kurrentdb://{account}@{ADDRESS}?tls={tls}&DiscoveryInterval=50&MaxDiscoverAttempts=100"
    return KurrentDBClient(url, root_certificates=CERTIFICATE)


def new(number=0, **more):
    return NewEvent(type="Counted", data=json.dumps({"number": number}).encode(), id=uuid.uuid4(), **more)


def some(count):
    return [new(number) for number in range(count)]


def refused(kind, call, *arguments, **named):
    try:
        outcome = call(*arguments, **named)
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got {outcome!r}")


def stream(name):
    return f"python-{name}"


def versions(events):
    return [event.stream_position for event in events]


def appending(client):
    name = stream("appending")
    # One event goes by Append, several by BatchAppend.
    for one_more in (new, lambda: [new()]):
        here = f"{name}-{one_more is new}"

        def append(current_version):
            return client.append_to_stream(here, current_version=current_version, events=one_more())

        assert refused(WrongCurrentVersionError, append, StreamState.EXISTS).actual_version == StreamState.NO_STREAM
        assert refused(WrongCurrentVersionError, append, 0).actual_version == StreamState.NO_STREAM
        append(StreamState.NO_STREAM)
        assert refused(WrongCurrentVersionError, append, StreamState.NO_STREAM).actual_version == 0
        conflict = refused(WrongCurrentVersionError, append, 1)
        assert (conflict.expected_version, conflict.actual_version) == (1, 0)
        append(0)
        append(StreamState.EXISTS)
        append(StreamState.ANY)
        assert client.get_current_version(here) == 3

    # A read says what was written, and where.
    name = f"{name}-back"
    event = new(7, metadata=b'{"colour": "red"}')
    position = client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=event)
    again = client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=[event])
    assert position == again
    (read,) = client.get_stream(name)
    assert (read.id, read.type, read.data, read.metadata) == (event.id, event.type, event.data, event.metadata)
    assert read.content_type == "application/json"
    assert read.commit_position == read.prepare_position == position
    assert abs(read.recorded_at.timestamp() - client.get_stream(name)[0].recorded_at.timestamp()) < 1
    binary = new(content_type="application/octet-stream")
    client.append_to_stream(name, current_version=0, events=binary)
    assert client.get_stream(name)[1].content_type == "application/octet-stream"


def reading(client):
    name = stream("reading")
    client.append_to_stream(name, current_version=StreamState.ANY, events=some(10))
    assert versions(client.read_stream(name)) == list(range(10))
    assert versions(client.get_stream(name, stream_position=7)) == [7, 8, 9]
    assert versions(client.get_stream(name, limit=2)) == [0, 1]
    assert versions(client.get_stream(name, backwards=True)) == list(reversed(range(10)))
    assert versions(client.get_stream(name, stream_position=2, backwards=True, limit=2)) == [2, 1]
    refused(NotFoundError, client.get_stream, stream("nothing"))

    mine = {"filter_include": [name], "filter_by_stream_name": True}
    events = list(client.read_all(**mine))
    assert versions(events) == list(range(10))
    middle = events[4].commit_position
    assert versions(client.read_all(commit_position=middle, **mine)) == list(range(4, 10))
    # Backwards the event at the position is not among them.
    assert versions(client.read_all(commit_position=middle, backwards=True, **mine)) == [3, 2, 1, 0]
    assert versions(client.read_all(backwards=True, limit=3, **mine)) == [9, 8, 7]
    by_prefix = {"filter_include": ["Coun"], "filter_by_prefix": True}
    assert {event.type for event in client.read_all(**by_prefix)} == {"Counted"}
    # By default it leaves the system's out, with an expression that looks ahead.
    client.set_stream_metadata(name, metadata={"colour": "red"})
    assert not any(event.type.startswith("$") for event in client.read_all())
    assert any(event.type == "$metadata" for event in client.read_all(filter_exclude=[]))
    assert client.get_commit_position() >= events[-1].commit_position


def metadata(client):
    name = stream("metadata")
    client.append_to_stream(name, current_version=StreamState.ANY, events=some(10))
    assert client.get_stream_metadata(name) == ({}, StreamState.NO_STREAM)
    client.set_stream_metadata(name, metadata={"$maxCount": 4, "colour": "red"})
    assert client.get_stream_metadata(name) == ({"$maxCount": 4, "colour": "red"}, 0)
    assert versions(client.get_stream(name)) == [6, 7, 8, 9]
    client.set_stream_metadata(name, metadata={"$tb": 8}, current_version=0)
    assert versions(client.get_stream(name)) == [8, 9]
    refused(WrongCurrentVersionError, client.set_stream_metadata, name, metadata={}, current_version=0)


def deleting(client):
    name = stream("deleting")
    refused(NotFoundError, client.delete_stream, name, current_version=StreamState.EXISTS)
    client.append_to_stream(name, current_version=StreamState.ANY, events=some(3))
    conflict = refused(WrongCurrentVersionError, client.delete_stream, name, current_version=0)
    assert (conflict.expected_version, conflict.actual_version) == (0, 2)
    client.delete_stream(name, current_version=2)
    refused(NotFoundError, client.get_stream, name)
    assert client.get_current_version(name) == StreamState.NO_STREAM
    client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=some(2))
    assert versions(client.get_stream(name)) == [3, 4]

    conflict = refused(WrongCurrentVersionError, client.tombstone_stream, name, current_version=1)
    assert (conflict.expected_version, conflict.actual_version) == (1, 4)
    client.tombstone_stream(name, current_version=4)
    refused(StreamIsDeletedError, client.get_stream, name)
    # Of an Append this client tells no more than the code.
    for kind, events in ((FailedPreconditionError, new()), (StreamIsDeletedError, [new()])):
        error = refused(kind, client.append_to_stream, name, current_version=StreamState.ANY, events=events)
        assert "is deleted" in str(error), error
    refused(StreamIsDeletedError, client.delete_stream, name, current_version=StreamState.ANY)
    refused(StreamIsDeletedError, client.tombstone_stream, name, current_version=StreamState.ANY)


def large(client):
    name = stream("large")

    def of(size):
        return NewEvent(type="Large", data=bytes(size), content_type="application/octet-stream")

    client.append_to_stream(name, current_version=StreamState.ANY, events=of(FITTING))
    client.append_to_stream(name, current_version=StreamState.ANY, events=[of(FITTING)] * 1)
    assert [len(event.data) for event in client.get_stream(name)] == [FITTING] * 2
    too_much = [of(FITTING), of(FITTING + 1)]
    refused(MaximumAppendSizeExceededError, client.append_to_stream, name, current_version=StreamState.ANY, events=too_much)

    name = stream("long")
    client.append_to_stream(name, current_version=StreamState.NO_STREAM, events=some(10_000))
    assert versions(client.read_stream(name)) == list(range(10_000))
    assert versions(client.read_stream(name, backwards=True)) == list(reversed(range(10_000)))


def subscribing(client):
    name = stream("subscribing")
    client.append_to_stream(name, current_version=StreamState.ANY, events=some(3))
    with client.subscribe_to_stream(name, stream_position=0, include_caught_up=True) as subscription:
        assert versions([next(subscription), next(subscription)]) == [1, 2]
        caught_up = next(subscription)
        assert isinstance(caught_up, CaughtUp) and caught_up.stream_position == 2
        client.append_to_stream(name, current_version=2, events=new())
        assert next(subscription).stream_position == 3
    with client.subscribe_to_stream(name, from_end=True) as subscription:
        client.append_to_stream(name, current_version=3, events=new())
        assert next(subscription).stream_position == 4

    wanted = {"filter_include": [name + "-wanted"], "filter_by_stream_name": True, "filter_by_prefix": True}
    position = client.get_commit_position(filter_exclude=[])
    checkpoints = dict(include_checkpoints=True, window_size=5, checkpoint_interval_multiplier=1)
    with client.subscribe_to_all(commit_position=position, include_caught_up=True, **wanted, **checkpoints) as subscription:
        assert isinstance(next(subscription), CaughtUp)
        client.append_to_stream(name, current_version=4, events=some(5))
        checkpoint = next(subscription)
        assert isinstance(checkpoint, Checkpoint), checkpoint
        assert checkpoint.commit_position == position + 5
        client.append_to_stream(name + "-wanted", current_version=StreamState.ANY, events=new())
        assert next(subscription).stream_name == name + "-wanted"
    return checkpoint.commit_position


def across_a_restart(client, checkpoint):
    name = stream("restarted")
    client.append_to_stream(name, current_version=StreamState.ANY, events=some(3))
    subscription = client.subscribe_to_stream(name)
    assert versions([next(subscription) for _ in range(3)]) == [0, 1, 2]
    ended = []
    waiting = threading.Thread(target=lambda: ended.append(refused(ServiceUnavailableError, next, subscription)))
    waiting.start()

    print("restart", flush=True)
    sys.stdin.readline()

    # It was told that the server is going, and not just cut off.
    waiting.join()
    assert "stopping" in str(ended[0]), ended
    client.reconnect()
    client.append_to_stream(name, current_version=2, events=new())
    with client.subscribe_to_stream(name, stream_position=2) as subscription:
        assert next(subscription).stream_position == 3
    with client.subscribe_to_all(
        commit_position=checkpoint, filter_include=[name], filter_by_stream_name=True
    ) as subscription:
        assert versions([next(subscription) for _ in range(4)]) == [0, 1, 2, 3]


def slow(client):
    """Whoever does not take what it is sent holds nobody up, and misses nothing."""
    name = stream("slow")
    size = 200_000
    with client.subscribe_to_stream(name) as subscription:
        for number in range(100):
            client.append_to_stream(
                name, current_version=StreamState.ANY, events=NewEvent(type="Large", data=bytes(size), content_type="application/octet-stream")
            )
        assert versions([next(subscription) for _ in range(100)]) == list(range(100))


def accounts():
    eve = connect("eve:swordfish")
    assert eve.get_stream(stream("reading"), limit=1)
    for events in (new(), [new()]):
        refused(AccessDeniedError, eve.append_to_stream, stream("eve"), current_version=StreamState.ANY, events=events)
    eve.close()
    for wrong in ("ada:sword", "nobody:swordfish"):
        client = connect(wrong)
        refused(UnauthenticatedError, client.get_stream, stream("reading"))
        refused(UnauthenticatedError, client.append_to_stream, stream("wrong"), current_version=StreamState.ANY, events=new())
        client.close()
    # Streams of modules are read by all who may read, and written by nobody here.
    ada = connect()
    refused(AccessDeniedError, ada.append_to_stream, "order-1", current_version=StreamState.ANY, events=new())
    ada.close()


def main():
    client = connect()
    appending(client)
    reading(client)
    if CERTIFICATE:
        accounts()
    else:
        metadata(client)
        deleting(client)
        large(client)
        checkpoint = subscribing(client)
        slow(client)
        across_a_restart(client, checkpoint)
    client.close()
    print("done", flush=True)


if __name__ == "__main__":
    main()
