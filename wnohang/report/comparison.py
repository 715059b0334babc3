"""The document of a comparison: one versioned JSON object, from which the table and the page are made.

It is written incomplete at the start and after every round, and complete at the end.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from wnohang.report import resultfile
from wnohang.report.comparison_claims import claims_of
from wnohang.report.resultfile import InvalidResult

__all__ = ["SCHEMA", "InvalidResult", "claims_of", "read", "schema", "validate", "write"]

SCHEMA = "wnohang-comparison/1"


def write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file in one step; raises OSError."""
    resultfile.write(path, document)


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
    text = (resources.files("wnohang.report") / "comparison-1.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def validate(document: object) -> None:
    """Raise InvalidResult, naming the place, unless the document follows the schema (without jsonschema: its name)."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InvalidResult(f"not a {SCHEMA} document")
    try:
        import jsonschema
    except ImportError:
        return
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema()).iter_errors(document))
    if error is not None:
        raise InvalidResult(f"at {error.json_path}: {error.message}")
