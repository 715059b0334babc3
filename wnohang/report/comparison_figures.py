"""What the table and the page of a comparison share: figures in a few digits, and sentences about behaviour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
# Of the time, spent by our own client on a processor: above, a rate may be the client's limit, not the server's.
BUSY = 0.9


def figure(value: float) -> str:
    """Three digits that count, thousands apart: 0, 0.31, 42.0, 870, 12 300."""
    size = abs(value)
    if size < 0.005:
        return "0"
    if size >= 1000:
        rounded = round(value, -int(len(str(int(size))) - 3))
        return f"{rounded:,.0f}".replace(",", " ")
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def ratio(summary: Mapping[str, float] | None) -> str:
    """The median, and the range over the rounds."""
    if summary is None:
        return ""
    return f"{times(summary['median'])} {spread(summary)}".rstrip()


def times(value: float) -> str:
    """A factor, in two digits that count at least: 0.0042, 0.31, 2.50, 15.2, 870."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.1e}")
    if abs(rounded) < 0.1:
        return f"{rounded:.{1 - math.floor(math.log10(abs(rounded)))}f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(summary: Mapping[str, float]) -> str:
    """The range over the rounds; nothing where there is none."""
    if summary["min"] == summary["max"]:
        return ""
    return f"[{times(summary['min'])}-{times(summary['max'])}]"


def by_server(measure: Mapping[str, Any]) -> dict[str, dict[int, Mapping[str, Any]]]:
    """The results of a measure: by server, by number of clients."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for each in measure["results"]:
        found.setdefault(each["server"], {})[each["clients"]] = each
    return found


def sizes(measure: Mapping[str, Any]) -> list[int]:
    """The numbers of clients that any server has a figure for."""
    return sorted({each["clients"] for each in measure["results"]})


def is_clients_limit(result: Mapping[str, Any]) -> bool:
    """Whether our own client was busy nearly all of the time, so that the server may be faster than this."""
    busy = result["client_busy"]
    return busy is not None and busy >= BUSY


def model_words(server: Mapping[str, Any]) -> str:
    """How it serves several clients."""
    words = {"fork": "process per client", "thread": "thread per client"}
    return words.get(server["model"] or "", server["model"] or "not recognised")


BEHAVIOURS = (
    ("crash", "A worker crashes"),
    ("descriptors", "Descriptors run out"),
    ("processes", "Processes and threads run out"),
)


def behaviour_words(which: str, found: Mapping[str, Any]) -> str:
    """One cell of the table of behaviours."""
    if "unknown" in found:
        return f"not known: {found['unknown']}"
    return {"crash": crash_words, "descriptors": _descriptors, "processes": _processes}[which](found)


def crash_words(crash: Mapping[str, Any]) -> str:
    """In one sentence."""
    if crash["others"]:
        others = f"{crash['survived']} of {crash['others']} others were served after it"
        if shared := crash.get("with_it"):
            others += f" ({shared} had the same process)"
    else:
        others = "no other client could be connected"
    goes_on = "the server accepted new clients" if crash["accepts"] else "no new client was accepted"
    return f"SIGSEGV to {crash['victim']}: {others}, {goes_on}"


def _descriptors(found: Mapping[str, Any]) -> str:
    served = f"{found['served']} of {found['clients']} clients were served at once"
    if not found["reached"]:
        return f"{served}; the limit, {found['room']} descriptors more than at rest, was not reached"
    meanwhile = "while the others waited" if found["served"] < found["clients"] else "meanwhile"
    idle = f"it used {found['cpu']:.0%} of a processor {meanwhile}"
    recovered = found["recovered"]
    again = "nobody was served afterwards" if recovered is None else f"served again after {recovered * 1e3:.0f} ms"
    return f"{served} with {found['room']} descriptors to spare; {idle}; {again}"


def _processes(found: Mapping[str, Any]) -> str:
    if not found["refused"]:
        return "no process and no thread is made for a client: nothing can fail"
    fate = {"FIN": "turned away (FIN)", "RST": "turned away (RST)", "served": "served all the same"}
    earlier = "the earlier client was still served" if found["earlier"] else "the earlier client was lost"
    after = "the next one was served" if found["accepts"] else "nobody was served afterwards"
    return f"the client was {fate.get(found['client'], found['client'])}; {earlier}; {after}"


def skipped_lines(document: Document) -> Iterator[str]:
    """What has no figure, a line each."""
    titles = {each["id"]: each["title"] for each in document["measures"]}
    merged: dict[tuple[str, str], list[int]] = {}
    for each in document["skipped"]:
        where = titles[each["measure"]] + ": " if each["measure"] else ""
        merged.setdefault((each["server"], f"{where}{each['reason']}"), []).append(each["clients"])
    for (server, reason), numbers in merged.items():
        yield f"{server} with {listed(sorted(set(numbers)))} clients: {reason}"


def listed(things: Sequence[object]) -> str:
    """1, 5 and 50."""
    words = [str(each) for each in things]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def machine(document: Document) -> str:
    """The machine, and what else it was doing."""
    of = document["environment"]
    load = f"load average {of['load_at_the_start']:.1f} at the start"
    if "load_at_the_end" in of:
        load += f", {of['load_at_the_end']:.1f} at the end"
    return f"{of['processors']} processors, {of['system']}, wnohang {of['wnohang']}; {load}"


def caption(document: Document) -> str:
    """How it was measured, in a sentence."""
    plan = document["plan"]
    rounds = f"{plan['rounds']} round{'' if plan['rounds'] == 1 else 's'}"
    return (
        f"One run of {rounds}, in which the servers take turns; medians over the rounds, ratios to {plan['baseline']} "
        "made within each round, with their range."
    )
