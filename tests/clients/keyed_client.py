"""What a user of the Python client does whose key is bound to one database, in each way to show it.

Usage, with a Python that has chromadb: keyed_client.py http://127.0.0.1:8000 KEY TENANT DATABASE
"""

import sys
import urllib.parse

import chromadb
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

where = urllib.parse.urlsplit(sys.argv[1])
key, tenant, database = sys.argv[2:]


def connect(place=(tenant, database), headers=None, **settings):
    return chromadb.HttpClient(
        host=where.hostname,
        port=where.port,
        tenant=place[0],
        database=place[1],
        headers=headers,
        settings=Settings(anonymized_telemetry=False, **settings),
    )


def refused(step, kind, call):
    try:
        call()
    except kind as reason:
        print("ok %s: %s" % (step, str(reason)[:120]))
    else:
        raise AssertionError("%s: not refused" % step)


provider = {
    "chroma_client_auth_provider": "chromadb.auth.token_authn.TokenAuthClientProvider",
    "chroma_client_auth_credentials": key,
}
ways = [
    {"headers": {"X-Chroma-Token": key}},
    {"headers": {"Authorization": "Bearer " + key}},
    dict(provider, chroma_auth_token_transport_header="Authorization"),
    dict(provider, chroma_auth_token_transport_header="X-Chroma-Token"),
]
for number, way in enumerate(ways):
    client = connect(**way)
    client.heartbeat()
    kept = client.get_or_create_collection("kept", embedding_function=None)
    kept.upsert(ids=["r%d" % number], embeddings=[[1.0, 2.0, number]], documents=["text"])
    assert kept.count() == number + 1
    assert kept.query(query_embeddings=[[1.0, 2.0, number]], n_results=1)["ids"] == [["r%d" % number]]
    assert [one.name for one in client.list_collections()] == ["kept"]
    print("ok way", number)

# Who lets the balancer tell its place need not know it.
default = ("default_tenant", "default_database")
found = connect(default, headers=ways[0]["headers"], chroma_overwrite_singleton_tenant_database_access_from_auth=True)
assert found.get_collection("kept", embedding_function=None).count() == len(ways)
refused("no key", Exception, lambda: connect())
refused("another tenant", Exception, lambda: connect(default, **ways[0]))
refused("no such collection", NotFoundError, lambda: client.get_collection("none", embedding_function=None))
gone = client.create_collection("gone", embedding_function=None)
client.delete_collection("gone")
refused("a deleted one", NotFoundError, lambda: gone.count())
refused("reset", ChromaError, lambda: connect(allow_reset=True, **ways[0]).reset())
