"""Engines: run a batch through a stack of layers and back."""
