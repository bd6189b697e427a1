"""Slotegrator's aggregator protocol (GIS): signed forms, one address, one action in each call."""

from croupier.providers.adapters.slotegrator_gis_v1.adapter import ADAPTER

__all__ = ["ADAPTER"]
