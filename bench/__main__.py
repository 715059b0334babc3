"""python -m bench PROGRAM [options]: the measuring programs by their names."""

import runpy
import sys

PROGRAMS = {
    "suite": "how long whole runs take, against the goals, and where the time goes",
    "soak": "whether many runs in a row say the same, idle and busy",
    "manifest": "whether every right server gets what is stated of it, every time",
    "detection": "how surely each wrong server is rejected",
    "observe": "what one look at the kernel's tables costs",
    "contain": "what a cell costs to make and to empty",
    "races": "how soon a lost update is proven, against race detectors",
    "inject": "what a trap for system calls costs, against strace",
    "loadclient": "whether the load client of compare is the bottleneck, against one in C",
    "load": "keep every processor busy for a while",
}


def main() -> int:
    """Hand over to the program; 4 for an unknown one, with the list."""
    if sys.argv[1:2] and sys.argv[1] in PROGRAMS:
        program = f"bench.{sys.argv.pop(1)}"
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return 0  # only a program that does not exit by itself comes back
    print("usage: python -m bench PROGRAM [options]")
    for name, what in PROGRAMS.items():
        print(f"  {name:<11}{what}")
    return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 4


if __name__ == "__main__":
    sys.exit(main())
