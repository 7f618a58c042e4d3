"""Is the description of the balancer's own routes OpenAPI, and do these answers fit it?

Arguments: the description, and a file with a list of answers, each with method, path (as in the description),
status, type and body. Prints what does not fit, and ends with 1 if anything does not.
"""

import json
import sys

import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

HERE = "urn:description"


def escaped(word):
    return word.replace("~", "~0").replace("/", "~1")


def resolved(description, part):
    """A part of the description, and where it is, behind any reference."""
    node, place = description, []
    for word in part:
        node = node[word]
        place.append(word)
        while "$ref" in node:
            place = node["$ref"].removeprefix("#/").split("/")
            node = description
            for step in place:
                node = node[step]
    return node, place


def mismatches(description, registry, answer):
    method, path, status = answer["method"].lower(), answer["path"], str(answer["status"])
    name = f"{answer['method']} {path} {status}"
    if method not in description["paths"].get(path, {}):
        return [f"{name}: no such route is described"]
    if status not in description["paths"][path][method]["responses"]:
        return [f"{name}: the status is not described"]
    response, place = resolved(description, ["paths", path, method, "responses", status])
    kind = answer["type"].split(";")[0]
    if kind not in response.get("content", {}):
        return [f"{name}: {kind} is not described"]
    _, place = resolved(description, [*place, "content", kind])
    target = "/".join(escaped(word) for word in [*place, "schema"])
    validator = Draft202012Validator({"$ref": f"{HERE}#/{target}"}, registry=registry)
    return [f"{name}: {error.json_path}: {error.message[:300]}" for error in validator.iter_errors(answer["body"])]


def main(description_file, answers_file):
    with open(description_file, encoding="utf-8") as file:
        description = yaml.safe_load(file)
    validate(description)
    registry = Registry().with_resource(HERE, DRAFT202012.create_resource(description))
    with open(answers_file, encoding="utf-8") as file:
        answers = json.load(file)
    wrong = [line for answer in answers for line in mismatches(description, registry, answer)]
    print(*wrong, f"{len(answers)} answers looked at", sep="\n")
    sys.exit(1 if wrong else 0)


main(*sys.argv[1:])
