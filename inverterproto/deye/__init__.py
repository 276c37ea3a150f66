"""Deye and every other maker on a Solarman/IGEN logger stick: the V5 protocol."""
