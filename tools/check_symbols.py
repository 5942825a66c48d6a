#!/usr/bin/env python3
"""Checks that kernel libraries share no symbol: check_symbols.py LIBRARY LIBRARY...

The same kernel sources are compiled once per instruction-set level. A weak symbol (an inline
function or a template instance) that two levels define would be merged by the linker, and a
processor without AVX-512 could then run AVX-512 code. So every external symbol must be defined
in one of the given static libraries only. Prints one line per shared symbol; exits 1 if any.
"""
import os
import subprocess
import sys

DEFINED = set("TDBRSGWVuiAC")  # external definitions in nm's letters; W, V, u are the weak ones
HARMLESS = {"__clang_call_terminate"}  # emitted by clang in every file, ends the program


def symbols(library):
    """{demangled name: nm's letter} of what the library defines for others."""
    run = subprocess.run([os.environ.get("NM", "nm"), "-C", "--defined-only", library],
                         capture_output=True, text=True, check=True)
    found = {}
    for line in run.stdout.splitlines():
        parts = line.split(" ", 2)
        if len(parts) == 3 and parts[1] in DEFINED:
            if parts[2] not in HARMLESS and not parts[2].startswith("DW.ref."):
                found[parts[2]] = parts[1]
    return found


def shared_symbols(libraries):
    """(name, letter, the two libraries) of each symbol that an earlier library defines too."""
    owner = {}
    for library in libraries:
        for name, letter in sorted(symbols(library).items()):
            if name in owner:
                yield name, letter, owner[name], library
            else:
                owner[name] = library


def main():
    libraries = sys.argv[1:]
    if len(libraries) < 2:
        sys.exit("usage: check_symbols.py LIBRARY LIBRARY...")
    empty = [library for library in libraries if not symbols(library)]
    for library in empty:
        print(f"{library}: defines no symbol")
    shared = list(shared_symbols(libraries))
    for name, letter, first, second in shared:
        print(f"{name} ({letter}) is in {os.path.basename(first)} and {os.path.basename(second)}")
    print(f"check_symbols: {len(shared)} shared by {len(libraries)} libraries")
    return 1 if shared or empty else 0


if __name__ == "__main__":
    sys.exit(main())
