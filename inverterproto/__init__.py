"""Codecs for Deye/Solarman V5 and AlphaESS frames."""
