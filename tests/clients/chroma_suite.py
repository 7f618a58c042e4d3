"""Does Chroma's own test-suite end the same through the balancer as against a bare server?

The suite ships inside the chromadb wheel. This program runs a selection of it twice with the same
seed, against two addresses, and prints every test whose outcome differs; it exits 1 if there is one.
Both servers must allow reset and must be empty: the suite resets them hundreds of times.

Usage, with a Python that has chromadb, pytest, pytest-asyncio, hypothesis, fastapi and psutil:

    chroma_suite.py --direct http://127.0.0.1:8001 --through http://127.0.0.1:8000 --selection long
    chroma_suite.py ... --selection property --examples 20 --seed 7 -k "embeddings and not async"

pytest loads the same file as a plugin: it notes outcomes and limits the examples of hypothesis.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

PLAIN = [
    "test_api.py",
    "api/test_collection.py",
    "api/test_delete_database.py",
    "api/test_get_database.py",
    "api/test_indexing_status.py",
    "api/test_invalid_update.py",
    "api/test_limit_offset.py",
    "api/test_list_databases.py",
    "api/test_numpy_list_inputs.py",
    "client/test_database_tenant.py",
    "client/test_multiple_clients_concurrency.py",
    "configurations/test_collection_configuration.py",
    "test_multithreaded.py",
]
FORKS_AND_SCHEMAS = ["api/test_fork_count_api.py", "api/test_schema_e2e.py", "property/test_fork.py"]
PROPERTY = [
    "property/test_add.py",
    "property/test_collections.py",
    "property/test_collections_with_database_tenant.py",
    "property/test_embeddings.py",
    "property/test_filtering.py",
    "property/test_schema.py",
]
# They change hundreds of settings of collections, one reset each.
SETTINGS = ["configurations/test_collection_configuration.py", "property/test_schema.py"]
# Name: files, which tests of them, examples of each property, steps of each state machine.
SELECTIONS = {
    "short": ([file for file in PLAIN + PROPERTY if file not in SETTINGS], "not async", 2, 10),
    "plain": (PLAIN, "", 5, 20),
    "property": (PROPERTY, "", 10, 30),
    "long": (PLAIN + FORKS_AND_SCHEMAS + PROPERTY, "", 50, 50),
}
# They need a certificate of their own making, a model from elsewhere, or start a server themselves.
NEVER = [
    "test_ssl_self_signed",
    "test_persist",
    "test_default_embedding",
    "test_collection_query_with_invalid_collection_throws",
    "test_collection_update_with_invalid_collection_throws",
    "sqlite_persistent",
]
# Too slow for a test that everybody runs, or about what the balancer does not see.
SLOW = [
    "test_add_large",
    "test_add_medium",
    "test_multithreaded_add",
    "test_multiple_clients_concurrently",
    "test_interleaved_add_query",
    "test_multi_add",
    "test_add_then_purge",
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--direct", required=True, help="address of a bare Chroma server")
    parser.add_argument("--through", required=True, help="address of the balancer")
    parser.add_argument("--selection", choices=sorted(SELECTIONS), default="short")
    parser.add_argument("-k", default="", help="only these tests, as in pytest")
    parser.add_argument("--files", nargs="*", help="instead of the selection's, below chromadb/test")
    parser.add_argument("--seed", type=int, default=20240229)
    parser.add_argument("--examples", type=int, help="examples of each property")
    parser.add_argument("--steps", type=int, help="steps of each state machine")
    parser.add_argument("--one-by-one", action="store_true", help="not both sides at once")
    parser.add_argument("--keep", type=Path, help="folder for the full output of both sides")
    return parser.parse_args()


def suite():
    """The folder of the suite, without importing it."""
    import importlib.util

    return Path(importlib.util.find_spec("chromadb").origin).parent / "test"


def command(options):
    files, chosen, examples, steps = SELECTIONS[options.selection]
    unwanted = NEVER + (SLOW if options.selection == "short" else [])
    wanted = [part for part in (chosen, options.k) if part] + ["not " + name for name in unwanted]
    run = [sys.executable, "-m", "pytest", "-p", "chroma_suite", "-p", "no:cacheprovider", "-c", os.devnull]
    run += ["-o", "asyncio_mode=auto", "--hypothesis-seed=%d" % options.seed, "-q", "--tb=short"]
    run += ["-k", " and ".join("(%s)" % part for part in wanted), "--rootdir", str(suite())]
    run += [str(suite() / file) for file in (options.files or files)]
    return run, options.examples or examples, options.steps or steps


def start(side, address, options, folder):
    run, examples, steps = command(options)
    home = folder / side
    home.mkdir(parents=True, exist_ok=True)
    where = urllib.parse.urlsplit(address)
    env = {name: value for name, value in os.environ.items() if not name.startswith("CHROMA_")}
    env.update(
        CHROMA_INTEGRATION_TEST_ONLY="1",
        CHROMA_SERVER_HOST=where.hostname,
        CHROMA_SERVER_HTTP_PORT=str(where.port),
        ANONYMIZED_TELEMETRY="False",
        PROPERTY_TESTING_PRESET="fast",
        PYTHONPATH=os.pathsep.join([str(Path(__file__).resolve().parent), env.get("PYTHONPATH", "")]),
        PYTHONDONTWRITEBYTECODE="1",
        SUITE_OUTCOMES=str(home / "outcomes.jsonl"),
        SUITE_EXAMPLES=str(examples),
        SUITE_STEPS=str(steps),
    )
    (home / "outcomes.jsonl").write_text("")
    with open(home / "output.txt", "w") as output:
        return subprocess.Popen(run, cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def outcomes(folder, side):
    lines = (folder / side / "outcomes.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return {one["test"]: one for one in found}


def summary(side, found):
    counts = {}
    for one in found.values():
        counts[one["outcome"]] = counts.get(one["outcome"], 0) + 1
    text = ", ".join("%d %s" % (count, outcome) for outcome, count in sorted(counts.items()))
    return "%-8s %s, %.0f s in tests" % (side, text or "nothing", sum(one["seconds"] for one in found.values()))


def compare(direct, through):
    """Rows of what differs: test, outcome and reason on either side."""
    nothing = {"outcome": "not run", "reason": ""}
    rows = []
    for test in sorted(set(direct) | set(through)):
        sides = direct.get(test, nothing), through.get(test, nothing)
        if (sides[0]["outcome"], kind(sides[0])) != (sides[1]["outcome"], kind(sides[1])):
            rows.append((test,) + sides)
    return rows


def kind(side):
    """What a failure was, without its ids and figures."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", side["reason"])[:80] if side["outcome"] != "skipped" else ""


def main():
    options = arguments()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chroma-suite-") as temporary:
        folder = options.keep or Path(temporary)
        running = []
        for side, address in (("direct", options.direct), ("through", options.through)):
            running.append(start(side, address, options, folder))
            if options.one_by_one:
                running[-1].wait()
        ends = [one.wait() for one in running]
        direct, through = outcomes(folder, "direct"), outcomes(folder, "through")
        rows = compare(direct, through)
        for test, one, other in rows:
            print("DIFFERS %s\n  direct:  %s %s\n  through: %s %s" % (test, one["outcome"], one["reason"], other["outcome"], other["reason"]))
        print(summary("direct", direct))
        print(summary("through", through))
        print("%d tests differ, seed %d, %.0f s" % (len(rows), options.seed, time.monotonic() - begun))
        # 0 and 1 are pytest's: all passed, some failed.
        if max(ends) > 1 or not direct:
            for side in ("direct", "through"):
                print("--- %s ---\n%s" % (side, (folder / side / "output.txt").read_text()[-3000:]))
            sys.exit(2)
        sys.exit(1 if rows else 0)


# What follows runs inside pytest.


def pytest_collection_modifyitems(items):
    import hypothesis

    limits = {
        "max_examples": int(os.environ["SUITE_EXAMPLES"]),
        "stateful_step_count": int(os.environ["SUITE_STEPS"]),
        # A slow machine is no difference.
        "deadline": None,
        "suppress_health_check": list(hypothesis.HealthCheck),
        "database": None,
        "verbosity": hypothesis.Verbosity.normal,
    }
    hypothesis.settings.register_profile("suite", **limits)
    hypothesis.settings.load_profile("suite")
    for item in items:
        test = getattr(item, "obj", None)
        known = getattr(test, "_hypothesis_internal_use_settings", None)
        if known is not None:
            own = dict(limits, max_examples=min(known.max_examples, limits["max_examples"]))
            test._hypothesis_internal_use_settings = hypothesis.settings(known, **own)


def pytest_runtest_logreport(report):
    decisive = report.when == "call" or report.outcome != "passed"
    if not decisive:
        return
    outcome = report.outcome if report.when == "call" else "%s in %s" % (report.outcome, report.when)
    if report.outcome == "skipped":
        outcome = "skipped"
    reason = ""
    if report.outcome == "failed":
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash else str(report.longrepr)
        reason = next(iter(text.splitlines()), "")[:200]
    found = {"test": report.nodeid, "outcome": outcome, "reason": reason, "seconds": report.duration}
    with open(os.environ["SUITE_OUTCOMES"], "a") as file:
        file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
