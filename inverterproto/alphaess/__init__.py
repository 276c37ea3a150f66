"""AlphaESS batteries: the clear-text protocol of port 7777."""
