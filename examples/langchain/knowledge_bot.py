"""A small knowledge bot on LangChain: it keeps the house's handbook in a vector store and answers from it.

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
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

ARTICLES = {
    "wifi": ("office", "The guest network is called Harbour; its password hangs at the reception."),
    "coffee": ("office", "Coffee is free, and the machine is cleaned every Friday."),
    "parking": ("office", "Guests may park their car behind the house, beside the bicycles."),
    "leave": ("people", "Ask for leave two weeks before it begins."),
    "laptop": ("security", "Report a lost laptop to the security desk at once."),
}
CORRECTED = "The guest network is called Lighthouse; its password hangs at the reception."


class WordHash(Embeddings):
    """Stands for a model, and needs none: texts that share words are near each other."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        vector = [0.0] * 256
        for word in re.findall(r"\w{4,}", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0]] += 1.0
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]


def connect():
    where = urlsplit(os.environ.get("CHROMA_URL", "http://localhost:8000"))
    port = where.port or (443 if where.scheme == "https" else 80)
    client = chromadb.HttpClient(host=where.hostname, port=port, ssl=where.scheme == "https")
    return Chroma(client=client, collection_name="handbook-langchain", embedding_function=WordHash())


def article(name, text, edition):
    topic = ARTICLES[name][0]
    return Document(page_content=text, metadata={"topic": topic, "edition": edition}, id="%s-%d" % (name, edition))


def take_in(handbook, edition):
    handbook.add_documents([article(name, text, edition) for name, (_, text) in ARTICLES.items()])
    handbook.delete(where={"edition": {"$lt": edition}})


def ask(handbook, question, topic):
    """The best article on the topic, and the edition that it is from."""
    found = handbook.similarity_search(question, k=1, filter={"topic": topic})
    return found[0].page_content, found[0].metadata["edition"]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit("%s: expected %r, found %r" % (what, wanted, found))


def a_round(handbook, edition):
    """Every answer must be of this edition."""
    take_in(handbook, edition)
    network = ask(handbook, "What is the guest network called?", "office")
    expect("the new edition", network, (ARTICLES["wifi"][1], edition))

    handbook.update_document("wifi-%d" % edition, article("wifi", CORRECTED, edition))
    network = ask(handbook, "What is the guest network called?", "office")
    expect("the corrected article", network, (CORRECTED, edition))

    handbook.delete(ids=["parking-%d" % edition])
    left = handbook.get(where={"topic": "office"})["ids"]
    expect("without the deleted article", sorted(left), ["coffee-%d" % edition, "wifi-%d" % edition])
    return network[0]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    stopping = []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
    handbook = connect()
    known = handbook.get(include=["metadatas"])["metadatas"]
    first = 1 + max((metadata["edition"] for metadata in known), default=0)
    edition = first
    while not stopping and (rounds == 0 or edition < first + rounds):
        begun = time.monotonic()
        answer = a_round(handbook, edition)
        print("edition %d, %.2f s: %s" % (edition, time.monotonic() - begun, answer), flush=True)
        edition += 1
    done, left = edition - first, len(handbook.get(include=[])["ids"])
    print("%d rounds, no call failed; the handbook has %d articles of edition %d" % (done, left, edition - 1))


if __name__ == "__main__":
    main()
