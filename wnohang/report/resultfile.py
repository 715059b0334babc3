"""The result file of a run: one versioned JSON document, from which every other format is converted.

It is written incomplete at the start and again as verdicts come in, and complete at the end. Whoever reads it takes
`"complete": false` for a run that was cut short.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from wnohang.report.record import Record, Verdict, merge_all
from wnohang.report.score import score, score_by_server
from wnohang.requirement import Level, catalogue, find

SCHEMA = "wnohang-verdicts/1"


class InvalidResult(ValueError):
    """A document is not a result file of this version; the message says where it goes wrong."""


def document(
    records: Iterable[Record],
    server: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    expected: Iterable[tuple[str, str]] = (),
    untested: Iterable[str] | None = None,
    complete: bool,
) -> dict[str, Any]:
    """The document for these records: one entry for each requirement and server, in the catalogue's order.

    `expected` holds the (server name, requirement id) pairs that the run set out to judge: one without a verdict costs
    its point all the same. `untested`: default, what has no record and is not expected.
    """
    known = catalogue()
    place = {id: number for number, id in enumerate(known)}
    merged = sorted(merge_all(records), key=lambda record: place.get(record.id, len(place)))
    wanted = {(name, find(id).id) for name, id in expected}
    judged = {(record.server, record.id) for record in merged}
    unjudged = sorted(wanted - judged, key=lambda pair: (place[pair[1]], pair[0]))
    if untested is None:
        tested = {id for _, id in wanted | judged}
        untested = [id for id in known if id not in tested]
    return {
        "schema": SCHEMA,
        "complete": complete,
        "server": dict(server),
        "environment": dict(environment),
        "requirements": [_entry(record) for record in merged],
        "unjudged": [{"id": id, "server": name} for name, id in unjudged],
        "untested": list(untested),
        "score": _score(merged, [(name, known[id].level) for name, id in unjudged]),
    }


def _entry(record: Record) -> dict[str, Any]:
    plain = record.to_dict()
    plain["seconds"] = round(record.seconds, 6)
    return plain


def _score(merged: list[Record], missing: list[tuple[str, Level]]) -> dict[str, Any]:
    total = score(merged, missing=[level for _, level in missing]).to_dict()
    by_server = score_by_server(merged, missing=missing)
    if len(by_server) > 1:
        total["servers"] = {name: one.to_dict() for name, one in by_server.items()}
    return total


def records_of(document: Mapping[str, Any]) -> list[Record]:
    """The records of a document that was read."""
    return [Record.from_dict(entry) for entry in document["requirements"]]


def write(path: Path, document: Mapping[str, Any], *, indented: bool = True) -> None:
    """Replace the file in one step: a reader sees the old document or the new one, never a half; raises OSError.

    `indented` is for people. Not so for what is soon replaced: the encoder in C cannot, and the one in Python, used
    after every verdict, took a third of all the kit's computing.
    The temporary file is in the same folder, because rename is atomic only within one file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            # Lone surrogates may come from a server's output; as \u escapes they survive.
            file.write(json.dumps(document, indent=1 if indented else None, ensure_ascii=True) + "\n")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """The validated document of a file; raises OSError, or InvalidResult."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidResult(f"{path} is not JSON: {error}") from error
    validate(document)
    return dict(document)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    text = (resources.files("wnohang.report") / "verdicts-1.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def validate(document: object) -> None:
    """Raise InvalidResult, naming the place, unless the document follows the schema.

    Without jsonschema only the version and the shape of each record are checked.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InvalidResult(f"not a {SCHEMA} document")
    try:
        import jsonschema
    except ImportError:
        _validate_shape(document)
        return
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema()).iter_errors(document))
    if error is not None:
        raise InvalidResult(f"at {error.json_path}: {error.message}")


def _validate_shape(document: Mapping[str, Any]) -> None:
    try:
        missing = {"complete", "server", "environment", "requirements", "untested", "score"} - document.keys()
        if missing:
            raise ValueError(f"{min(missing)} is missing")
        records_of(document)
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidResult(f"a record is malformed: {error}") from error


def verdicts(document: Mapping[str, Any]) -> dict[tuple[str, str], Verdict]:
    """What the document says, by requirement id and server name."""
    return {(entry["id"], entry["server"]): Verdict(entry["verdict"]) for entry in document["requirements"]}
