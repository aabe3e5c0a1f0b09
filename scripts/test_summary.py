#!/usr/bin/env python3
"""Reads Meson's testlog.json and says in plain lines what passed, failed and was skipped, and why.

SPDX-License-Identifier: BSD-2-Clause

The last line is `N passed, N failed, N skipped`. Exit status 0 only if nothing failed and something passed.
With --leftovers DIR, files that the tests left in DIR are one more failure.
"""
import argparse
import json
import os
import sys

# Meson's words, see mesonbuild/mtest.py; an expected failure is a test that did what it should.
PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP", "IGNORED"}
MOST_LINES = 80  # of the output of one failed test


def read_log(path):
    with open(path, encoding="utf-8", errors="replace") as log:
        return [json.loads(line) for line in log if line.strip()]


def output_of(test):
    lines = ((test.get("stdout") or "") + "\n" + (test.get("stderr") or "")).strip().splitlines()
    return lines


def reason_of_skip(test):
    lines = [line.strip() for line in output_of(test) if line.strip()]
    for line in lines:
        if "skip" in line.lower():
            return line
    return lines[-1] if lines else "no reason given"


def show_failure(test):
    print(f"\nFAILED {test['name']} ({test['result'].lower()}, exit status {test.get('returncode')})")
    lines = output_of(test)
    if len(lines) > MOST_LINES:
        print(f"  ... {len(lines) - MOST_LINES} lines not shown")
    for line in lines[-MOST_LINES:]:
        print("  " + line)


def leftovers(folder):
    return sorted(os.listdir(folder)) if folder else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("log")
    parser.add_argument("--leftovers", metavar="DIR")
    options = parser.parse_args()
    try:
        tests = read_log(options.log)
    except (OSError, ValueError) as error:
        print(f"the tests did not run: {error}\n0 passed, 1 failed, 0 skipped")
        return 1

    passed = [t for t in tests if t["result"] in PASSED]
    skipped = [t for t in tests if t["result"] in SKIPPED]
    failed = [t for t in tests if t not in passed and t not in skipped]
    count_failed = len(failed)

    for test in failed:
        show_failure(test)
    left = leftovers(options.leftovers)
    if left:
        count_failed += 1
        print("\nFAILED no leftovers: the tests left files behind in their temporary directory")
        for name in left[:20]:
            print("  " + name)
    if skipped:
        print("\nSkipped:")
        for test in skipped:
            print(f"  {test['name']}: {reason_of_skip(test)}")
    if not tests:
        print("there is no test")
        count_failed += 1
    print(f"\n{len(passed)} passed, {count_failed} failed, {len(skipped)} skipped", flush=True)
    return 1 if count_failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
