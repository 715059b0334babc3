"""From what was typed to servers: names of the gallery, short or whole, and the user's own commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from wnohang import gallery
from wnohang.dialect import DialectError, dialect
from wnohang.gallery import GalleryError, GalleryServer
from wnohang.launch import Target, UsageError, parse_command

# Where a short name is looked for first: the ladder in C is what the course text is about. Then among all that are
# right; whoever wants a wrong one gives its whole name.
_HOME = "c/"
_RIGHT = frozenset({"reference", "odd"})
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server of the comparison. `source`: "gallery" or "command"; `language` and `lesson` are the gallery's."""

    target: Target
    source: str
    language: str = ""
    lesson: str = ""

    @property
    def name(self) -> str:
        """As it is called in all outputs."""
        return self.target.name


def whole_name(typed: str, servers: Mapping[str, GalleryServer]) -> str:
    """The name in the gallery that was meant; UsageError when none or several could have been."""
    if typed in servers:
        return typed
    if _HOME + typed in servers:
        return _HOME + typed
    right = [name for name, each in servers.items() if each.role in _RIGHT]
    fitting = [each for each in right if each.rpartition("/")[2] == typed]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{typed!r} is ambiguous: {_listed(fitting)}; give the whole name")
    raise UsageError(f"no server {typed!r} in the gallery; {_meant(typed, list(servers))}")


def _meant(typed: str, known: Sequence[str]) -> str:
    """Names that look like it or hold it; by their last part too."""
    short = {each.rpartition("/")[2]: each for each in reversed(known)}
    close = get_close_matches(typed, known, n=3) + [short[each] for each in get_close_matches(typed, short, n=3)]
    holding = [each for each in known if typed.lower() in each.lower()]
    found = list(dict.fromkeys([*close, *holding]))
    if found:
        return f"did you mean {_listed(found, 'or')}?"
    return f'names are for instance {_listed([each for each in known if each.startswith(_HOME)][:3])}; a command of your own: --server mine="./mine {{port}}"'  # noqa: E501


def _listed(names: Sequence[str], word: str = "and") -> str:
    shown = list(names[:_SHOWN])
    if len(names) > _SHOWN:
        return f"{', '.join(shown)} and {len(names) - _SHOWN} more"
    return f"{', '.join(shown[:-1])} {word} {shown[-1]}" if len(shown) > 1 else shown[0]


def of_gallery(typed: str, servers: Mapping[str, GalleryServer]) -> Contestant:
    """A server that comes with the kit, compiled when needed; UsageError."""
    found = servers[whole_name(typed, servers)]
    if reason := gallery.missing(found):
        raise UsageError(reason)
    try:
        command = tuple(gallery.command(found))
    except GalleryError as failure:
        raise UsageError(str(failure).splitlines()[0]) from None
    return Contestant(Target(found.name, command, found.dialect), "gallery", found.language, found.lesson)


def of_command(text: str, spoken: str, cwd: str | None) -> Contestant:
    """NAME=COMMAND, as --server takes it; UsageError."""
    name, equals, command = text.partition("=")
    name = name.strip()
    is_name = name.isprintable() and not set(" ./{\"'") & set(name[:1] or " ")
    if not equals or not is_name:
        lacks = "command" if is_name and not set(" /{") & set(name) else "name"
        raise UsageError(
            f'--server {text!r} has no {lacks}; type NAME=CMD, for example --server mine="./mine {{port}}"'
        )
    return Contestant(Target(name, parse_command(command), spoken, cwd=cwd), "command")


def contestants(
    names: Sequence[str], commands: Sequence[str], *, spoken: str = "echo", cwd: str | None = None
) -> list[Contestant]:
    """All that take part, in the order typed, names of the gallery first; UsageError in one line."""
    try:
        servers = gallery.gallery()
    except GalleryError as failure:
        raise UsageError(str(failure)) from None
    found = [of_command(each, spoken, cwd) for each in commands]
    found = [of_gallery(each, servers) for each in names] + found
    for place, each in enumerate(found):
        if any(each.name == other.name for other in found[:place]):
            raise UsageError(f"{each.name!r} is there twice; each server takes part once")
        _check_dialect(each)
    if len(found) < 2:
        raise UsageError("a comparison needs two servers at least; type: wnohang compare fork thread")
    _check_same_exchange(found)
    return found


def _check_same_exchange(all_of_them: Sequence[Contestant]) -> None:
    """An echo and a count are not the same work; all that return what was sent are compared with each other."""
    spoken = [dialect(each.target.dialect) for each in all_of_them]
    for each, other in zip(all_of_them, spoken, strict=True):
        if other.name != spoken[0].name and not (other.echoes and spoken[0].echoes):
            raise UsageError(
                f"{all_of_them[0].name} speaks {spoken[0].name}, and {each.name} {other.name}: compare servers of one "
                "dialect (--dialect says what your own speak)"
            )


def _check_dialect(one: Contestant) -> None:
    try:
        spoken = dialect(one.target.dialect)
    except DialectError as failure:
        raise UsageError(str(failure)) from None
    if spoken.greeting is not None or not spoken.keeps:
        why = "speaks first" if spoken.greeting is not None else "ends a session with its first answer"
        raise UsageError(f"{one.name} cannot be compared: in its dialect, {spoken.name}, the server {why}")
