"""Commissioning a box with a person, and looking after it at night without one.

A check is pure: it takes what was seen (edges, modem facts, samples, timings) and gives an Outcome.
bench.py lets a configuration's devices be seen, guided.py asks a person to move the line,
unattended.py does what needs nobody, and sheet.py writes down what was measured.
"""
