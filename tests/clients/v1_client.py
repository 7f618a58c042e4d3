"""What an old v1 client does, with nothing but the standard library.

Usage: v1_client.py http://127.0.0.1:8000

Prints one line per step and exits 1 at the first answer that an old server would not have given.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BASE = sys.argv[1].rstrip("/") + "/api/v1"
NAME = "v1-client-%d" % time.time_ns()


def call(method, path, body=None, agent="v1-client", **query):
    url = BASE + path
    if query:
        url += "?" + urllib.parse.urlencode(query)
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "User-Agent": agent}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode(errors="replace")


def same(step, found, expected):
    if found != expected:
        print("FAILED %s: expected %r, found %r" % (step, expected, found))
        sys.exit(1)
    print("ok %s" % step)


def main():
    status, body = call("GET", "")
    same("root", (status, list(body)), (200, ["nanosecond heartbeat"]))
    status, body = call("GET", "/version")
    same("version", (status, body.split(".")[0]), (200, "0"))
    status, body = call("GET", "/pre-flight-checks")
    same("pre-flight-checks", (status, list(body)), (200, ["max_batch_size"]))
    same("tenant", call("GET", "/tenants/default_tenant"), (200, {"name": "default_tenant"}))
    status, body = call("GET", "/databases/default_database", tenant="default_tenant")
    same("database", (status, body.get("name")), (200, "default_database"))

    wanted = {"name": NAME, "metadata": {"hnsw:space": "cosine", "a": 1}, "get_or_create": False}
    status, created = call("POST", "/collections", wanted)
    same("create", (status, created.get("name")), (200, NAME))
    kinds = created["configuration_json"]["_type"], created["configuration_json"]["hnsw_configuration"]["_type"]
    same("create: kinds", kinds, ("CollectionConfigurationInternal", "HNSWConfigurationInternal"))
    fields = ["configuration_json", "database", "dimension", "id", "metadata", "name", "tenant", "version"]
    same("create: fields", sorted(created), fields)
    status, body = call("POST", "/collections", wanted)
    same("create again", (status, body.get("error")), (409, "UniqueConstraintError"))
    status, body = call("POST", "/collections", dict(wanted, get_or_create=True))
    same("get or create", (status, body.get("id")), (200, created["id"]))
    for path in (NAME, created["id"]):
        status, body = call("GET", "/collections/" + path)
        same("get collection " + path, (status, body.get("id")), (200, created["id"]))
    status, body = call("GET", "/collections", limit=100000)
    same("list", (status, [c["id"] for c in body if c["name"] == NAME]), (200, [created["id"]]))
    status, body = call("GET", "/collections", agent="python-requests/2.31.0", limit=100000)
    listed = [sorted(c) for c in body if c["name"] == NAME]
    same("list for 0.4", (status, listed), (200, [["database", "id", "metadata", "name", "tenant"]]))
    status, body = call("GET", "/count_collections")
    same("count collections", (status, isinstance(body, int) and body >= 1), (200, True))

    by_id, by_name = "/collections/" + created["id"], "/collections/" + NAME
    records = {
        "ids": ["a", "b", "c"],
        "embeddings": [[1, 0], [0, 1], [1, 1]],
        "metadatas": [{"k": 1}, {"k": 2}, None],
        "documents": ["one", "two", None],
        "uris": None,
    }
    same("add", call("POST", by_id + "/add", records), (201, True))
    same("add by name", call("POST", by_name + "/add", {"ids": ["d"], "embeddings": [[2, 1]]}), (201, True))
    same("count", call("GET", by_id + "/count"), (200, 4))
    same("update", call("POST", by_id + "/update", {"ids": ["a"], "metadatas": [{"n": 7}]}), (200, None))
    same("upsert", call("POST", by_name + "/upsert", {"ids": ["e"], "embeddings": [[3, 1]]}), (200, None))

    nothing = {"where": {}, "where_document": {}}
    asked = dict(nothing, ids=["a"], sort=None, limit=None, offset=None, include=["metadatas", "documents", "data"])
    status, body = call("POST", by_id + "/get", asked)
    same("get", (status, body.get("ids"), body.get("metadatas"), body.get("documents")), (200, ["a"], [{"k": 1, "n": 7}], ["one"]))
    same("get: shape", (sorted(body.get("included", [])), body.get("data", 0)), (["documents", "metadatas"], None))
    asked = dict(nothing, query_embeddings=[[1, 0]], n_results=1, include=["distances"])
    status, body = call("POST", by_name + "/query", asked)
    same("query", (status, body.get("ids")), (200, [["a"]]))
    status, body = call("POST", by_id + "/query", dict(asked, query_embeddings=[[1, 0, 0]]))
    same("query with a wrong dimension", (status, body.get("error")), (400, "InvalidDimension"))

    same("delete by name", call("POST", by_name + "/delete", dict(nothing, ids=["a", "d"])), (200, ["a", "d"]))
    same("delete by filter", call("POST", by_id + "/delete", {"where": {"k": 2}}), (200, None))
    status, body = call("POST", by_id + "/delete", nothing)
    same("delete nothing", status, 400)
    status, body = call("POST", by_id + "/get", {})
    same("what is left", (status, sorted(body["ids"])), (200, ["c", "e"]))

    same("rename", call("PUT", by_id, {"new_name": NAME + "-new", "new_metadata": None}), (200, None))
    status, body = call("GET", by_name)
    same("old name", (status, body.get("error")), (400, "InvalidCollection"))
    same("delete collection", call("DELETE", by_name + "-new"), (200, None))
    status, body = call("POST", by_id + "/add", {"ids": ["x"], "embeddings": [[1, 1]]})
    same("add to nothing", (status, body.get("error")), (400, "InvalidCollection"))
    same("unknown read", call("GET", "/nope")[0], 404)
    same("unknown write", call("POST", "/raw_sql", {"sql": "x"})[0], 501)


if __name__ == "__main__":
    main()
