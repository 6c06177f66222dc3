"""Specs, costs, device ceilings, tuning tables, errors, settings: standard library only."""
