"""See a failure of the simulation again: ``python -m tests.simulation.replay SEED [STEPS [MUTANT]]``."""

import sys

from tests.simulation.mutants import MUTANTS
from tests.simulation.world import Rules, Violation, World


def main(arguments: list[str]) -> int:
    """Run one world from its seed, as it ran before."""
    seed, steps = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 50_000
    chosen = [rules for name, rules in MUTANTS.items() if arguments[2:] and name.startswith(arguments[2])]
    world = World(seed, chosen[0] if chosen else Rules())
    try:
        world.run(steps)
    except Violation as violation:
        sys.stdout.write("\n".join([*violation.__notes__, ""]))
        return 1
    sys.stdout.write(f"{steps:,} steps from seed {seed}: nothing that must not be\n")
    for name, count in sorted(world.counts.items()):
        sys.stdout.write(f"{count:10,}  {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
