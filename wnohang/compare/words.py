"""What failed, in one line."""

from __future__ import annotations


def one_line(failure: BaseException) -> str:
    """The message without its further lines, but with the last of the server's output, where there is some."""
    lines = [each.strip(" |") for each in str(failure).splitlines() if each.strip(" |")]
    if len(lines) < 2:
        return "".join(lines)
    return f"{lines[0]}; its last words: {lines[-1]}" if "of output:" in str(failure) else lines[0]
