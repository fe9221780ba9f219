#!/usr/bin/env python3
"""Places orders at a constant rate and prints the latency of the answers.

The rate does not depend on the answers (open loop): each request has a scheduled time, and its
latency counts from that time, so that slow answers do not reduce the load.
"""
import argparse
import http.client
import json
import queue
import random
import statistics
import threading
import time
import urllib.parse


def request(connection, path, body):
    connection.request('POST', path, json.dumps(body), {'Content-Type': 'application/json'})
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 201:
        raise SystemExit(f'POST {path}: {response.status} {answer}')
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('url')
    parser.add_argument('--rate', type=float, default=50)
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--connections', type=int, default=16)
    args = parser.parse_args()
    address = urllib.parse.urlsplit(args.url).netloc

    customer = request(http.client.HTTPConnection(address), '/api/v1/customers', {
        'kind': 'person', 'name': 'Ada Martin',
        'email': f'load-{random.getrandbits(48)}@exemple.fr',
        'address': {'line1': '1 rue de la Paix', 'postal_code': '75002', 'city': 'Paris',
                    'country': 'FR'}})['id']
    order = {'customer_id': customer, 'currency': 'EUR', 'payment_method': 'sandbox:ok',
             'lines': [{'sku': 'CH-1', 'description': 'Chaise', 'quantity': '2',
                        'unit_price': '49.90', 'vat_rate': '20'}]}
    moments, took = queue.Queue(), []

    def place():
        connection = http.client.HTTPConnection(address)
        while (moment := moments.get()) is not None:
            request(connection, '/api/v1/orders', order)
            took.append(time.perf_counter() - moment)

    workers = [threading.Thread(target=place) for _ in range(args.connections)]
    for worker in workers:
        worker.start()
    begun = time.perf_counter()
    for number in range(int(args.rate * args.seconds)):
        moment = begun + number / args.rate
        time.sleep(max(0, moment - time.perf_counter()))
        moments.put(moment)
    for _ in workers:
        moments.put(None)
    for worker in workers:
        worker.join()
    percentiles = statistics.quantiles(took, n=100)
    print(f'{len(took)} orders at {args.rate:g}/s: p50 {percentiles[49] * 1000:.1f} ms, '
          f'p99 {percentiles[98] * 1000:.1f} ms, longest {max(took) * 1000:.1f} ms')


if __name__ == '__main__':
    main()
