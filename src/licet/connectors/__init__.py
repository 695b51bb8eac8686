"""One package per foreign system: its signatures and its words, turned into ours. Pure: no network, no database."""
