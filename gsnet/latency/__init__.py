"""How long a network takes: measured timings."""
