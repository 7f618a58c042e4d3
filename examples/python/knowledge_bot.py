"""A small knowledge bot on the Python client: it keeps the house's handbook in a collection and answers from it.

    CHROMA_URL=http://localhost:8000 python knowledge_bot.py [rounds]

Each round takes in a new edition of the handbook, removes the old one, corrects an article, deletes another, and asks
after every step; an answer that is not the newest ends it with an error. 0 rounds: until Ctrl-C.
"""

import hashlib
import math
import os
import re
import signal
import sys
import time
from urllib.parse import urlsplit

import chromadb
from chromadb import Documents, EmbeddingFunction, Embeddings

ARTICLES = {
    "wifi": ("office", "The guest network is called Harbour; its password hangs at the reception."),
    "coffee": ("office", "Coffee is free, and the machine is cleaned every Friday."),
    "parking": ("office", "Guests may park their car behind the house, beside the bicycles."),
    "leave": ("people", "Ask for leave two weeks before it begins."),
    "laptop": ("security", "Report a lost laptop to the security desk at once."),
}
CORRECTED = "The guest network is called Lighthouse; its password hangs at the reception."


class WordHash(EmbeddingFunction[Documents]):
    """Stands for a model, and needs none: texts that share words are near each other."""

    def __init__(self):
        pass

    def __call__(self, input: Documents) -> Embeddings:
        return [embed(text) for text in input]

    @staticmethod
    def name():
        return "word-hash"

    def get_config(self):
        return {}

    @staticmethod
    def build_from_config(config):
        return WordHash()


def embed(text):
    vector = [0.0] * 256
    for word in re.findall(r"\w{4,}", text.lower()):
        vector[hashlib.sha256(word.encode()).digest()[0]] += 1.0
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]


def connect():
    where = urlsplit(os.environ.get("CHROMA_URL", "http://localhost:8000"))
    port = where.port or (443 if where.scheme == "https" else 80)
    client = chromadb.HttpClient(host=where.hostname, port=port, ssl=where.scheme == "https")
    return client.get_or_create_collection("handbook", embedding_function=WordHash())


def take_in(handbook, edition):
    handbook.add(
        ids=["%s-%d" % (name, edition) for name in ARTICLES],
        documents=[text for _, text in ARTICLES.values()],
        metadatas=[{"topic": topic, "edition": edition} for topic, _ in ARTICLES.values()],
    )
    handbook.delete(where={"edition": {"$lt": edition}})


def ask(handbook, question, topic):
    """The best article on the topic, and the edition that it is from."""
    found = handbook.query(query_texts=[question], where={"topic": topic}, n_results=1)
    return found["documents"][0][0], found["metadatas"][0][0]["edition"]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit("%s: expected %r, found %r" % (what, wanted, found))


def a_round(handbook, edition):
    """Seven calls; every answer must be of this edition."""
    take_in(handbook, edition)
    network = ask(handbook, "What is the guest network called?", "office")
    expect("the new edition", network, (ARTICLES["wifi"][1], edition))

    handbook.update(ids=["wifi-%d" % edition], documents=[CORRECTED])
    network = ask(handbook, "What is the guest network called?", "office")
    expect("the corrected article", network, (CORRECTED, edition))

    handbook.delete(ids=["parking-%d" % edition])
    left = handbook.get(where={"topic": "office"}, include=[])["ids"]
    expect("without the deleted article", sorted(left), ["coffee-%d" % edition, "wifi-%d" % edition])
    return network[0]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    stopping = []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
    handbook = connect()
    known = handbook.get(include=["metadatas"])["metadatas"]
    first = 1 + max((article["edition"] for article in known), default=0)
    edition = first
    while not stopping and (rounds == 0 or edition < first + rounds):
        begun = time.monotonic()
        answer = a_round(handbook, edition)
        print("edition %d, %.2f s: %s" % (edition, time.monotonic() - begun, answer), flush=True)
        edition += 1
    done = edition - first
    print("%d rounds, no call failed; the handbook has %d articles of edition %d" % (done, handbook.count(), edition - 1))


if __name__ == "__main__":
    main()
