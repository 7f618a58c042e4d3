"""What a user of the current Python client does, every answer checked.

Usage, with a Python that has chromadb: python_client.py http://127.0.0.1:8000

Leaves the collection python-kept with 298 records and no other.
"""

import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import chromadb
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

where = urllib.parse.urlsplit(sys.argv[1])


def connect(**place):
    settings = Settings(anonymized_telemetry=False)
    return chromadb.HttpClient(host=where.hostname, port=where.port, settings=settings, **place)


def same(step, found, expected):
    assert found == expected, "%s: expected %r, found %r" % (step, expected, found)
    print("ok", step)


def refused(step, kind, call):
    try:
        call()
    except kind as reason:
        print("ok %s: %s" % (step, str(reason)[:80]))
    else:
        raise AssertionError("%s: not refused" % step)


def collections(client):
    kept = client.create_collection("python-first", metadata={"owner": "me"}, embedding_function=None)
    same("get or create", client.get_or_create_collection("python-first", embedding_function=None).id, kept.id)
    same("get", client.get_collection("python-first", embedding_function=None).id, kept.id)
    refused("create twice", ChromaError, lambda: client.create_collection("python-first"))
    refused("get what is not there", NotFoundError, lambda: client.get_collection("python-nowhere"))
    with ThreadPoolExecutor(8) as pool:
        make = lambda _: client.get_or_create_collection("python-gone", embedding_function=None).id
        same("one id for all", len(set(pool.map(make, range(8)))), 1)
    same("count collections", client.count_collections(), 2)
    same("list", sorted(c.name for c in client.list_collections()), ["python-first", "python-gone"])
    pages = [client.list_collections(limit=1, offset=n)[0].id for n in (0, 1)]
    same("pages", pages, [c.id for c in client.list_collections()])
    kept.modify(name="python-kept", metadata={"owner": "me", "version": 2})
    refused("the old name", NotFoundError, lambda: client.get_collection("python-first"))
    client.delete_collection("python-gone")
    refused("a deleted name", NotFoundError, lambda: client.get_collection("python-gone"))
    refused("delete twice", NotFoundError, lambda: client.delete_collection("python-gone"))
    return client.get_collection("python-kept", embedding_function=None)


def records(kept):
    ids = ["r%03d" % n for n in range(300)]
    vectors = [[n, n % 7, 1.0] for n in range(300)]
    facts = [{"group": n % 3, "even": n % 2 == 0} for n in range(300)]
    texts = ["text %d" % n for n in range(300)]
    kept.add(ids=ids[:200], embeddings=vectors[:200], metadatas=facts[:200], documents=texts[:200])
    kept.upsert(ids=ids[100:], embeddings=vectors[100:], metadatas=facts[100:], documents=texts[100:])
    same("count", kept.count(), 300)
    same("peek", len(kept.peek(5)["ids"]), 5)
    same("get by ids", kept.get(ids=["r007"])["documents"], ["text 7"])
    same("get by where", len(kept.get(where={"group": 1}, limit=500)["ids"]), 100)
    same("get by text", kept.get(where_document={"$contains": "text 299"})["ids"], ["r299"])
    same("page", kept.get(limit=2, offset=3, include=[])["ids"], ids[3:5])
    same("query", kept.query(query_embeddings=[[7.0, 0.0, 1.0]], n_results=1)["ids"], [["r007"]])
    near = kept.query(query_embeddings=[[7.0, 0.0, 1.0]], n_results=1, where={"even": True}, include=["distances"])
    same("query by where", near["ids"], [["r008"]])
    # With embeddings, or the client would make them of the documents.
    both = {"embeddings": [[0.0, 0.0, 2.0]] * 2, "metadatas": [{"group": 9}] * 2, "documents": ["new"] * 2}
    kept.update(ids=["r000", "nobody"], **both)
    same("update", kept.get(ids=["r000", "nobody"])["documents"], ["new"])
    same("merged metadata", kept.get(ids=["r000"])["metadatas"], [{"group": 9, "even": True}])
    refused("a wrong dimension", ChromaError, lambda: kept.add(ids=["x"], embeddings=[[1.0]]))
    refused("for a missing id", ChromaError, lambda: kept.update(ids=["nobody"], embeddings=[[1.0]]))
    kept.delete(ids=["r001"])
    kept.delete(where={"group": 9})
    same("deleted", kept.get(ids=["r000", "r001"])["ids"], [])
    same("what is left", kept.count(), 298)


def places(client):
    admin = chromadb.AdminClient(client.get_settings())
    admin.create_tenant("python-tenant")
    admin.create_database("python-base", "python-tenant")
    found = admin.get_database("python-base", "python-tenant")
    same("database", found["name"], "python-base")
    same("its id stays", {str(admin.get_database("python-base", "python-tenant")["id"]) for _ in range(8)}, {str(found["id"])})
    other = connect(tenant="python-tenant", database="python-base")
    inside = other.create_collection("python-kept", embedding_function=None)
    inside.add(ids=["a"], embeddings=[[1.0, 2.0]])
    same("the same name elsewhere", (inside.count(), len(other.list_collections())), (1, 1))
    other.delete_collection("python-kept")
    admin.delete_database("python-base", "python-tenant")
    refused("a deleted database", NotFoundError, lambda: admin.get_database("python-base", "python-tenant"))


def main():
    client = connect()
    assert client.heartbeat() > 0
    kept = collections(client)
    records(kept)
    places(client)
    same("metadata", client.get_collection("python-kept", embedding_function=None).metadata, {"owner": "me", "version": 2})


if __name__ == "__main__":
    main()
