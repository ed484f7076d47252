"""A virtual exchange, phone, modem and sound card behind the ports of the real ones.

Shipped, and chosen in the configuration; never a fallback for hardware.
"""
