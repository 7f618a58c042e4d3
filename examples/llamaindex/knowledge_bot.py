"""A small knowledge bot on LlamaIndex: it keeps the house's handbook in a vector index and answers from it.

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
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
from llama_index.vector_stores.chroma import ChromaVectorStore

ARTICLES = {
    "wifi": ("office", "The guest network is called Harbour; its password hangs at the reception."),
    "coffee": ("office", "Coffee is free, and the machine is cleaned every Friday."),
    "parking": ("office", "Guests may park their car behind the house, beside the bicycles."),
    "leave": ("people", "Ask for leave two weeks before it begins."),
    "laptop": ("security", "Report a lost laptop to the security desk at once."),
}
CORRECTED = "The guest network is called Lighthouse; its password hangs at the reception."


class WordHash(BaseEmbedding):
    """Stands for a model, and needs none: texts that share words are near each other."""

    def _get_text_embedding(self, text):
        vector = [0.0] * 256
        for word in re.findall(r"\w{4,}", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0]] += 1.0
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def connect():
    where = urlsplit(os.environ.get("CHROMA_URL", "http://localhost:8000"))
    port = where.port or (443 if where.scheme == "https" else 80)
    client = chromadb.HttpClient(host=where.hostname, port=port, ssl=where.scheme == "https")
    # LlamaIndex makes the embeddings; without this, Chroma's client would load a model of its own.
    return client.get_or_create_collection("handbook-llamaindex", embedding_function=None)


def article(name, text, edition):
    # Only the text is embedded, not the metadata.
    facts = {"topic": ARTICLES[name][0], "edition": edition}
    return Document(text=text, id_="%s-%d" % (name, edition), metadata=facts, excluded_embed_metadata_keys=list(facts))


def take_in(index, edition):
    for name, (_, text) in ARTICLES.items():
        index.insert(article(name, text, edition))
    for name in ARTICLES:
        index.delete_ref_doc("%s-%d" % (name, edition - 1))


def search(index, question, topic, most):
    filters = MetadataFilters(filters=[ExactMatchFilter(key="topic", value=topic)])
    return index.as_retriever(similarity_top_k=most, filters=filters).retrieve(question)


def ask(index, question, topic):
    """The best article on the topic, and the edition that it is from."""
    best = search(index, question, topic, 1)[0]
    return best.get_content(), best.metadata["edition"]


def expect(what, found, wanted):
    if found != wanted:
        sys.exit("%s: expected %r, found %r" % (what, wanted, found))


def a_round(index, edition):
    """Every answer must be of this edition."""
    take_in(index, edition)
    network = ask(index, "What is the guest network called?", "office")
    expect("the new edition", network, (ARTICLES["wifi"][1], edition))

    index.update_ref_doc(article("wifi", CORRECTED, edition))
    network = ask(index, "What is the guest network called?", "office")
    expect("the corrected article", network, (CORRECTED, edition))

    index.delete_ref_doc("parking-%d" % edition)
    left = search(index, "Where may guests park their car?", "office", 10)
    left = sorted(found.node.ref_doc_id for found in left)
    expect("without the deleted article", left, ["coffee-%d" % edition, "wifi-%d" % edition])
    return network[0]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    stopping = []
    signal.signal(signal.SIGINT, lambda *_: stopping.append(True))
    collection = connect()
    index = VectorStoreIndex.from_vector_store(ChromaVectorStore(chroma_collection=collection), embed_model=WordHash())
    known = collection.get(include=["metadatas"])["metadatas"]
    first = 1 + max((metadata["edition"] for metadata in known), default=0)
    edition = first
    while not stopping and (rounds == 0 or edition < first + rounds):
        begun = time.monotonic()
        answer = a_round(index, edition)
        print("edition %d, %.2f s: %s" % (edition, time.monotonic() - begun, answer), flush=True)
        edition += 1
    done, left = edition - first, collection.count()
    print("%d rounds, no call failed; the handbook has %d articles of edition %d" % (done, left, edition - 1))


if __name__ == "__main__":
    main()
