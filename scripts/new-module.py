#!/usr/bin/env python3
"""Begins a module as a copy of the sample module.

    scripts/new-module.py NAME [--into CHECKOUT]

copies samples/loyalty to domains/NAME, puts NAME in place of `loyalty`, and makes the edits outside of
that folder: two entries in Cargo.toml, and a line in the list of src/main.rs. The copy compiles and passes
its tests; replace the cards and points by your own aggregates (docs/new-module.md).
"""
import argparse
import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = HERE / 'samples/loyalty'
#: Keywords of Rust, crates of its distribution, and the program's name and keys of the configuration.
RESERVED = set("""abstract alloc as async await become box break const continue core crate do dyn else enum extern
false final fn for gen if impl in let loop macro main match mod move mut override priv proc pub ref return self
static std struct super test trait true try type typeof unsafe unsized use virtual where while yield
bascule default store listen run modules log cache admission replica wire sections""".split())


def named(text, name):
    """Returns a text of the sample with the module's name in place of the sample's."""
    return text.replace('loyalty', name).replace('Loyalty', name.capitalize())


def inserted(path, text, before, lines):
    """Returns the text of a file with lines before the first match of a pattern."""
    at = re.search(before, text, re.MULTILINE)
    if at is None:
        raise SystemExit(f'{path} has no line like {before}: add by hand\n{lines}')
    return text[:at.start()] + lines + text[at.start():]


def listed(path, text, line):
    """Returns the text of the root manifest with a line among its sorted dependencies."""
    head, section, tail = text.partition('\n[dependencies]\n')
    if not section:
        raise SystemExit(f'{path} has no section [dependencies]: add by hand\n{line}')
    lines, end, rest = tail.partition('\n\n')
    return head + section + '\n'.join(sorted([*lines.splitlines(), line])) + end + rest


def main():
    arguments = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    arguments.add_argument('name', metavar='NAME', help='lower-case letters and digits, such as wishlist')
    arguments.add_argument('--into', metavar='CHECKOUT', type=pathlib.Path, default=HERE)
    given = arguments.parse_args()
    name, root = given.name, given.into
    if not re.fullmatch(r'[a-z][a-z0-9]{1,39}', name):
        raise SystemExit(f'invalid name {name}: expected 2 to 40 lower-case letters and digits, such as wishlist')
    manifest, module = root / 'Cargo.toml', root / 'domains' / name
    if not manifest.is_file():
        raise SystemExit(f'{root} is no checkout of bascule: {manifest} does not exist')
    if name in RESERVED:
        raise SystemExit(f'invalid name {name}: Rust or the program reserves it; choose another name')
    taken = rf'^({name}|{name}-contract)( *=|\.workspace)'
    if module.exists() or re.search(taken, manifest.read_text(), re.MULTILINE):
        raise SystemExit(f'{name} already names a crate or a feature of the workspace: choose another name')

    # All edits are made in memory before the first file is written.
    text = inserted(manifest, manifest.read_text(), r'^# A module as docs/new-module.md|^\n# HTTP and OpenAPI', (
        f'{name} = {{ path = "domains/{name}" }}\n'
        f'{name}-contract = {{ path = "domains/{name}/contract" }}\n'))
    text = listed(manifest, text, f'{name}.workspace = true')
    program = root / 'src/main.rs'
    modules = inserted(program, program.read_text(), r'^ *#\[cfg\(feature = "import"\)\]\n +&capture', (
        f'    &{name}::{name.capitalize()}Module,\n'))

    for source in sorted(SAMPLE.rglob('*')):
        if source.is_file():
            target = module / named(str(source.relative_to(SAMPLE)), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(named(source.read_text(), name))
            shutil.copymode(source, target)
    manifest.write_text(text)
    program.write_text(modules)
    print(f'domains/{name} is a copy of the sample module. Next: cargo check, make fmt, make generate;\n'
          f'then replace cards and points by your own aggregates (docs/new-module.md).')


main()
